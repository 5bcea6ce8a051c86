-- rate: flattens one card's prices for one resource, so that one probe finds the longest prefix in force.
CREATE OR REPLACE FUNCTION billing.flatten_prices(p_card bigint, p_channel text, p_resource_type text)
RETURNS TABLE (
    card bigint,
    channel text,
    resource_type text,
    lo text,
    valid_from timestamptz,
    rate_id bigint,
    currency text,
    unit_price numeric,
    initial_increment numeric,
    billing_increment numeric,
    connection_fee numeric,
    minimum_charge numeric,
    by_terms boolean,
    longest integer,
    changes timestamptz[]
)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
-- The sizes of the steps below are not known when they are planned, and nested loops would make a deck quadratic.
SET enable_nestloop = off
-- What is left of them counts as so costly that the plan would be compiled, for a second.
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE rates AS MATERIALIZED (
        SELECT *
        FROM billing.pricing_rates
        WHERE card = p_card
            AND channel = p_channel
            AND resource_type = p_resource_type
            AND is_active
    ),
    prefixes AS MATERIALIZED (
        SELECT DISTINCT prefix
        FROM rates
    ),
    -- When a prefix has no price of its own.
    gaps AS (
        SELECT prefix, gap_from, gap_until
        FROM (
            SELECT
                prefix, effective_from AS gap_until,
                lag(effective_until, 1, '-infinity') OVER (PARTITION BY prefix ORDER BY effective_from) AS gap_from
            FROM rates
        ) AS before
        WHERE gap_from < gap_until
        UNION ALL
        SELECT prefix, max(effective_until), 'infinity'
        FROM rates
        GROUP BY prefix
        HAVING bool_and(effective_until IS NOT NULL)
    ),
    -- What steps in then: the next shorter prefix that there is.
    inherited AS MATERIALIZED (
        SELECT g.prefix, g.gap_from, g.gap_until, shorter.prefix AS shorter
        FROM gaps AS g
        INNER JOIN (
            SELECT DISTINCT ON (p.prefix) p.prefix AS of_prefix, q.prefix
            FROM prefixes AS p
            CROSS JOIN LATERAL generate_series(0, length(p.prefix) - 1) AS n
            INNER JOIN prefixes AS q ON q.prefix = left(p.prefix, n)
            ORDER BY p.prefix, n DESC
        ) AS shorter ON shorter.of_prefix = g.prefix
    ),
    -- Each price goes down to the longer prefixes as far as they leave it time, so that no more is looked at than is kept.
    held AS (
        SELECT prefix, effective_from AS held_from, COALESCE(effective_until, 'infinity') AS held_until, id
        FROM rates
        UNION ALL
        SELECT i.prefix, GREATEST(h.held_from, i.gap_from), LEAST(h.held_until, i.gap_until), h.id
        FROM held AS h
        INNER JOIN inherited AS i
            ON i.shorter = h.prefix
            AND i.gap_from < h.held_until
            AND i.gap_until > h.held_from
    ),
    changes AS MATERIALIZED (
        SELECT prefix, held_from AS at, id
        FROM held
        UNION ALL
        SELECT prefix, held_until, NULL
        FROM (
            SELECT
                prefix, held_until,
                lead(held_from, 1, 'infinity') OVER (PARTITION BY prefix ORDER BY held_from) AS next_from
            FROM held
        ) AS ends
        WHERE held_until < next_from
    ),
    -- A range begins where a prefix begins and where it ends. Between two such points the prefixes that cover a
    -- number are those that cover the point. ('19' ends before '1:', since ':' follows '9'.)
    points AS MATERIALIZED (
        SELECT ''::text COLLATE "C" AS lo
        FROM rates
        UNION
        SELECT prefix
        FROM prefixes
        UNION
        SELECT left(prefix, -1) || chr(ascii(right(prefix, 1)) + 1)
        FROM prefixes
        WHERE prefix <> ''
    ),
    covered AS (
        SELECT DISTINCT ON (p.lo) p.lo, q.prefix
        FROM points AS p
        CROSS JOIN LATERAL generate_series(0, length(p.lo)) AS n
        INNER JOIN prefixes AS q ON q.prefix = left(p.lo, n)
        ORDER BY p.lo, n DESC
    )
    SELECT
        p_card, p_channel, p_resource_type, w.lo, w.at, w.id, r.currency,
        r.unit_price, r.initial_increment, r.billing_increment, r.connection_fee, r.minimum_charge,
        COALESCE(billing.is_by_terms(r.charge_model, r.terms), false),
        CASE WHEN w.lo = '' AND w.at = '-infinity' THEN (SELECT max(length(p.lo)) FROM points AS p) END,
        CASE
            WHEN w.lo = '' AND w.at = '-infinity'
                THEN ARRAY(SELECT x.at FROM changes AS x UNION SELECT '-infinity' ORDER BY 1)
        END
    FROM (
        SELECT c.lo, x.at, x.id
        FROM covered AS c
        INNER JOIN changes AS x ON x.prefix = c.prefix
        UNION ALL
        -- No price has always been in force.
        SELECT lo, '-infinity', NULL
        FROM points
    ) AS w
    LEFT JOIN rates AS r ON r.id = w.id;
END;
$$;

COMMENT ON FUNCTION billing.flatten_prices IS
'What resolved_prices has to say of one card, channel and resource by the prices that pricing_rates has now. Cost grows with the
card, not with usage.';
