-- rate: what many measurements cost, in one statement. price_usage is the same for one.
CREATE OR REPLACE FUNCTION billing.price_measurements(p_measured billing.measurement[])
RETURNS TABLE (
    source_id bigint,
    part smallint,
    tenant_id bigint,
    channel text,
    resource_type text,
    resource_id text,
    measured numeric,
    destination text,
    occurred_at timestamptz,
    problem text,
    rate_id bigint,
    currency text,
    usage_date date,
    quantity numeric,
    billed_quantity numeric,
    unit_cost numeric,
    total_cost numeric,
    period_rate_id bigint
)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
-- How many rows there are is not known when they are planned. What is joined is hashed, or a guess would make it quadratic.
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
-- What nested loops are left, for there one index is probed, count as so costly that the plan would be compiled.
SET jit = off
AS $$
BEGIN
    -- Each tenant is looked up once, and each price once for all rows that differ in nothing that could change it: the digits of
    -- a destination beyond the longest prefix of its cards do not, nor does the time between two changes of their prices.
    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT u.*, COALESCE(u.occurred_at, statement_timestamp()) AS at
        FROM unnest(p_measured) AS u
    ),
    -- What held for each tenant from the first of its rows to the last.
    held AS MATERIALIZED (
        SELECT
            g.tenant_id, g.channel, g.resource_type, g.first_at, g.last_at,
            t.valid_from, t.valid_until, t.timezone, t.currency, t.cards
        FROM (
            SELECT
                r.tenant_id, COALESCE(r.channel, '') AS channel, COALESCE(r.resource_type, '') AS resource_type,
                min(r.at) AS first_at, max(r.at) AS last_at
            FROM given AS r
            GROUP BY 1, 2, 3
        ) AS g
        CROSS JOIN LATERAL (
            SELECT
                x.timezone, x.currency, x.cards, x.valid_from,
                lead(x.valid_from) OVER (ORDER BY x.valid_from) AS valid_until
            FROM billing.tenant_terms AS x
            WHERE x.tenant_id = g.tenant_id
                AND x.valid_from <= g.last_at
        ) AS t
        WHERE (t.valid_until <= g.first_at) IS NOT TRUE
    ),
    -- When the prices of their cards changed: the last time before these rows, and each time among them.
    eras AS MATERIALIZED (
        SELECT k.cards, k.channel, k.resource_type, e.longest, e.changes
        FROM (
            SELECT h.cards, h.channel, h.resource_type, min(h.first_at) AS first_at, max(h.last_at) AS last_at
            FROM held AS h
            GROUP BY 1, 2, 3
        ) AS k
        CROSS JOIN LATERAL (
            SELECT max(x.longest) AS longest, array_agg(DISTINCT c.at ORDER BY c.at) AS changes
            FROM billing.resolved_prices AS x
            CROSS JOIN LATERAL unnest(
                x.changes[width_bucket(k.first_at, x.changes):width_bucket(k.last_at, x.changes)]
            ) AS c (at)
            WHERE x.card = ANY (k.cards)
                AND x.channel = k.channel
                AND x.resource_type = k.resource_type
                AND x.lo = ''
                AND x.valid_from = '-infinity'
        ) AS e
    ),
    ruled AS MATERIALIZED (
        SELECT h.*, e.longest, e.changes
        FROM held AS h
        INNER JOIN eras AS e USING (cards, channel, resource_type)
    ),
    dated AS MATERIALIZED (
        SELECT
            g.*, r.timezone, r.currency, r.cards,
            left(COALESCE(g.destination, ''), r.longest) AS digits,
            r.changes[width_bucket(g.at, r.changes)] AS since
        FROM given AS g
        LEFT JOIN ruled AS r
            ON r.tenant_id = g.tenant_id
            AND r.channel = COALESCE(g.channel, '')
            AND r.resource_type = COALESCE(g.resource_type, '')
            AND r.valid_from <= g.at
            AND (r.valid_until <= g.at) IS NOT TRUE
    ),
    prices AS MATERIALIZED (
        SELECT
            k.*, p.rate_id, p.unit_price, p.initial_increment, p.billing_increment, p.connection_fee, p.minimum_charge,
            p.by_terms, p.is_plain
        FROM (
            SELECT *
            FROM (
                SELECT DISTINCT d.cards, d.currency, d.channel, d.resource_type, d.digits, d.since
                FROM dated AS d
                WHERE d.since IS NOT NULL
            ) AS d
            -- A deck is read in its own order, each page while it is at hand.
            ORDER BY d.digits COLLATE "C"
        ) AS k
        CROSS JOIN LATERAL billing.find_price(
            k.cards, k.channel, k.resource_type, k.digits, k.since, k.currency
        ) AS p
    )
    SELECT
        m.source_id, m.part, m.tenant_id, m.channel, m.resource_type, m.resource_id, m.quantity, m.destination, m.at,
        CASE
            WHEN m.source_id IS NULL THEN 'UB011'
            WHEN (m.quantity > 0 AND m.quantity <= billing.largest_quantity(m.resource_type) AND isfinite(m.at)) IS NOT TRUE
                THEN 'UB003'
            WHEN m.timezone IS NULL THEN 'UB002'
            WHEN m.rate_id IS NULL THEN 'UB001'
        END,
        m.rate_id,
        m.currency,
        (m.at AT TIME ZONE m.timezone)::date,
        m.units,
        CASE
            WHEN m.is_plain THEN m.units
            WHEN m.per = 1 THEN m.billed
            ELSE trim_scale(m.billed / m.per)
        END,
        m.unit_price,
        CASE
            -- cost_per_unit without fee and minimum.
            WHEN m.is_plain THEN round(m.quantity * m.unit_price * 1.00000000000000 / m.per, 10)
            WHEN m.by_terms THEN m.cost_by_terms
            ELSE billing.cost_per_unit(m.billed, m.per, m.unit_price, m.connection_fee, m.minimum_charge)
        END,
        m.period_rate_id
    FROM (
        SELECT
            d.*, p.rate_id, p.unit_price, p.connection_fee, p.minimum_charge, p.by_terms, plain.is_plain, per.per,
            CASE WHEN per.per = 1 THEN d.quantity ELSE trim_scale(d.quantity / per.per) END AS units,
            CASE
                WHEN plain.is_plain THEN d.quantity
                WHEN p.by_terms THEN terms.billed
                WHEN d.resource_type = 'minute'
                    THEN billing.bill_seconds(d.quantity, p.initial_increment, p.billing_increment)
                ELSE d.quantity
            END AS billed,
            terms.total_cost AS cost_by_terms, terms.period_rate_id
        FROM dated AS d
        LEFT JOIN prices AS p
            ON p.cards = d.cards
            AND p.currency = d.currency
            AND p.channel = d.channel
            AND p.resource_type = d.resource_type
            AND p.digits = d.digits
            AND p.since = d.since
        CROSS JOIN LATERAL (SELECT CASE WHEN d.resource_type = 'minute' THEN 60::numeric ELSE 1::numeric END) AS per (per)
        CROSS JOIN LATERAL (SELECT p.is_plain AND d.quantity > 0 AND scale(d.quantity) = 0) AS plain (is_plain)
        LEFT JOIN LATERAL (
            SELECT t.*
            FROM billing.price_by_terms(p.rate_id, d.resource_type, d.quantity, d.at) AS t
            WHERE p.by_terms
                AND isfinite(d.at)
                AND d.quantity > 0
                AND d.quantity <= billing.largest_quantity(d.resource_type)
            -- Called for these only.
            OFFSET 0
        ) AS terms ON true
        -- Computed once for each row, not once for each use.
        OFFSET 0
    ) AS m;
END;
$$;

COMMENT ON FUNCTION billing.price_measurements IS
'Each measurement of p_measured (destination as normalize_destination gives it, occurred_at filled in), with what it
costs its tenant at that time. Never raises for what is foreseeable: problem says UB001, UB002, UB003 or,
of a row without an id, UB011 instead.
period_rate_id as in priced_usage. measured is in seconds for minutes; quantity and billed_quantity are in units of the resource.';
