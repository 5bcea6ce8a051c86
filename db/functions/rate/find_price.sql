-- rate: the price of a destination at an instant, by one probe for each card.
CREATE OR REPLACE FUNCTION billing.find_price(
    p_cards bigint[],
    p_channel text,
    p_resource_type text,
    p_destination text,
    p_at timestamptz,
    p_currency text
)
RETURNS SETOF billing.resolved_prices
LANGUAGE sql
STABLE
PARALLEL SAFE
ROWS 1
AS $$
    SELECT r.*
    FROM unnest(p_cards) AS c (card)
    CROSS JOIN LATERAL (
        SELECT x.*
        FROM billing.resolved_prices AS x
        WHERE x.card = c.card
            AND x.channel = p_channel
            AND x.resource_type = p_resource_type
            AND x.lo <= COALESCE(p_destination, '')
            AND x.valid_from <= p_at
        ORDER BY x.lo DESC, x.valid_from DESC
        LIMIT 1
    ) AS r
    WHERE r.rate_id IS NOT NULL
        AND r.currency = p_currency
    LIMIT 1;
$$;

COMMENT ON FUNCTION billing.find_price IS
'The price on the first of p_cards that has one in p_currency for p_destination (as normalize_destination gives it) at
p_at; no row when none has. Inlined into the statements that price many rows; find_rate is the rule it agrees with.';
