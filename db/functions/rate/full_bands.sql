-- rate: the prices of a rate's bands, with what they take from its columns.
CREATE OR REPLACE FUNCTION billing.full_bands(
    p_terms jsonb,
    p_unit_price numeric,
    p_initial_increment numeric,
    p_billing_increment numeric,
    p_connection_fee numeric
)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT jsonb_object_agg(
        b.key,
        jsonb_build_object(
            'unit_price', COALESCE((b.value ->> 'unit_price')::numeric, p_unit_price),
            'initial_increment', COALESCE((b.value ->> 'initial_increment')::numeric, p_initial_increment),
            'increment', COALESCE((b.value ->> 'increment')::numeric, p_billing_increment),
            'connection_fee', COALESCE((b.value ->> 'connection_fee')::numeric, p_connection_fee)
        )
    )
    FROM jsonb_each(p_terms -> 'bands') AS b;
$$;

COMMENT ON FUNCTION billing.full_bands IS
'p_terms.bands with all four terms in each band, taken from the rate''s columns where the band leaves them out, so that
two rates can be compared. NULL: no bands.';
