-- rate: a card's prices at an instant, as the lines of a rate deck.
CREATE OR REPLACE FUNCTION billing.export_deck(
    p_card text,
    p_channel text,
    p_resource_type text,
    p_at timestamptz DEFAULT now()
)
RETURNS TABLE (
    prefix text,
    band text,
    unit_price numeric,
    connection_fee numeric,
    initial_increment numeric,
    billing_increment numeric,
    minimum_charge numeric,
    description text
)
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT
        CASE WHEN r.prefix = '' THEN '*' ELSE r.prefix END,
        b.band,
        trim_scale(COALESCE((b.terms ->> 'unit_price')::numeric, r.unit_price)),
        trim_scale(COALESCE((b.terms ->> 'connection_fee')::numeric, r.connection_fee)),
        trim_scale(COALESCE((b.terms ->> 'initial_increment')::numeric, r.initial_increment)),
        trim_scale(COALESCE((b.terms ->> 'increment')::numeric, r.billing_increment)),
        trim_scale(r.minimum_charge),
        r.description
    FROM billing.list_rates(p_card, p_channel, p_resource_type, '', p_at) AS r
    CROSS JOIN LATERAL (
        SELECT '' AS band, '{}'::jsonb AS terms
        UNION ALL
        SELECT e.key, e.value
        FROM jsonb_each(r.terms -> 'bands') AS e
    ) AS b
    WHERE billing.is_deck_rate(r.charge_model, r.terms)
    ORDER BY r.prefix, b.band;
$$;

COMMENT ON FUNCTION billing.export_deck IS
'The prices in force at p_at as import_deck takes them back, one row for each prefix (* is every destination) and each
band of it; band empty: the price outside of bands. Prices that a deck cannot say (is_deck_rate) are left out.';
