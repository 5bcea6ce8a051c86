-- rate: as much of a number as prices tell apart.
CREATE OR REPLACE FUNCTION billing.known_prefix(p_destination text)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT left(p_destination, LEAST(COALESCE(max(length(r.prefix)), 0), GREATEST(length(p_destination) - 4, 0)))
    FROM billing.pricing_rates AS r
    WHERE p_destination ~ '^[0-9]+$'
        AND r.prefix = ANY (ARRAY(SELECT left(p_destination, n) FROM generate_series(1, length(p_destination)) AS n));
$$;

COMMENT ON FUNCTION billing.known_prefix IS
'The longest prefix of any price, past, present or planned, that the number p_destination begins with, but never its last four
digits: what is left of a number that is forgotten, so that it still finds its price. Empty for what is no number.';
