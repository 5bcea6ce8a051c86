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
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    -- Each tenant is looked up once, and each price once for all rows that differ in nothing that could change it: the digits of
    -- a destination beyond the longest prefix of its cards do not, nor does the time between two changes of their prices.
    -- Unnesting the array again costs less than to keep its rows.
    -- What held for each tenant from the first of its rows to the last.
    WITH held AS MATERIALIZED (
        SELECT
            g.tenant_id, g.channel, g.resource_type, g.first_at, g.last_at,
            t.valid_from, t.valid_until, t.timezone, t.currency, t.cards
        FROM (
            SELECT
                u.tenant_id, COALESCE(u.channel, '') AS channel, COALESCE(u.resource_type, '') AS resource_type,
                min(COALESCE(u.occurred_at, statement_timestamp())) AS first_at,
                max(COALESCE(u.occurred_at, statement_timestamp())) AS last_at
            FROM unnest(p_measured) AS u
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
    -- What prices are chosen from, numbered, and when they changed: the last time before these rows, and each time among them.
    choices AS MATERIALIZED (
        SELECT row_number() OVER () AS choice, k.cards, k.currency, k.channel, k.resource_type, e.longest, e.changes
        FROM (
            SELECT
                h.cards, h.currency, h.channel, h.resource_type, min(h.first_at) AS first_at, max(h.last_at) AS last_at
            FROM held AS h
            GROUP BY 1, 2, 3, 4
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
        SELECT
            h.tenant_id, h.channel, h.resource_type, h.valid_from, h.valid_until, h.timezone, h.currency,
            c.choice, c.longest, c.changes
        FROM held AS h
        INNER JOIN choices AS c USING (cards, currency, channel, resource_type)
    ),
    prices AS MATERIALIZED (
        SELECT
            k.choice, k.digits, k.era,
            p.rate_id, p.unit_price, p.initial_increment, p.billing_increment, p.connection_fee, p.minimum_charge,
            p.by_terms, p.is_plain
        FROM (
            SELECT *
            FROM (
                SELECT DISTINCT
                    r.choice,
                    left(COALESCE(u.destination, ''), r.longest) AS digits,
                    width_bucket(COALESCE(u.occurred_at, statement_timestamp()), r.changes) AS era
                FROM unnest(p_measured) AS u
                INNER JOIN ruled AS r
                    ON r.tenant_id = u.tenant_id
                    AND r.channel = u.channel
                    AND r.resource_type = u.resource_type
                    AND r.valid_from <= COALESCE(u.occurred_at, statement_timestamp())
                    AND (r.valid_until <= COALESCE(u.occurred_at, statement_timestamp())) IS NOT TRUE
            ) AS d
            -- A deck is read in its own order, each page while it is at hand.
            ORDER BY d.digits COLLATE "C"
        ) AS k
        INNER JOIN choices AS c USING (choice)
        CROSS JOIN LATERAL billing.find_price(
            c.cards, c.channel, c.resource_type, k.digits, c.changes[k.era], c.currency
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
            WHEN m.per = 1 THEN COALESCE(m.terms[1], m.billed)
            ELSE trim_scale(COALESCE(m.terms[1], m.billed) / m.per)
        END,
        m.unit_price,
        CASE
            -- cost_per_unit without fee and minimum.
            WHEN m.is_plain THEN round(m.quantity * m.unit_price * 1.00000000000000 / m.per, 10)
            WHEN m.by_terms THEN m.terms[2]
            ELSE billing.cost_per_unit(m.billed, m.per, m.unit_price, m.connection_fee, m.minimum_charge)
        END,
        m.terms[3]::bigint
    FROM (
        SELECT
            u.*, at.at, r.timezone, r.currency,
            p.rate_id, p.unit_price, p.connection_fee, p.minimum_charge, p.by_terms, plain.is_plain, per.per,
            CASE WHEN per.per = 1 THEN u.quantity ELSE trim_scale(u.quantity / per.per) END AS units,
            CASE
                WHEN plain.is_plain OR p.by_terms THEN NULL
                WHEN u.resource_type = 'minute'
                    THEN billing.bill_seconds(u.quantity, p.initial_increment, p.billing_increment)
                ELSE u.quantity
            END AS billed,
            -- In a CASE, so that the prices which their columns tell (most) cost no call.
            CASE
                WHEN p.by_terms
                    AND isfinite(at.at)
                    AND u.quantity > 0
                    AND u.quantity <= billing.largest_quantity(u.resource_type)
                THEN (
                    SELECT ARRAY[t.billed, t.total_cost, t.period_rate_id]
                    FROM billing.price_by_terms(p.rate_id, u.resource_type, u.quantity, at.at) AS t
                )
            END AS terms
        FROM unnest(p_measured) AS u
        CROSS JOIN LATERAL (SELECT COALESCE(u.occurred_at, statement_timestamp())) AS at (at)
        LEFT JOIN ruled AS r
            ON r.tenant_id = u.tenant_id
            AND r.channel = COALESCE(u.channel, '')
            AND r.resource_type = COALESCE(u.resource_type, '')
            AND r.valid_from <= at.at
            AND (r.valid_until <= at.at) IS NOT TRUE
        LEFT JOIN prices AS p
            ON p.choice = r.choice
            AND p.digits = left(COALESCE(u.destination, ''), r.longest)
            AND p.era = width_bucket(at.at, r.changes)
        CROSS JOIN LATERAL (SELECT CASE WHEN u.resource_type = 'minute' THEN 60::numeric ELSE 1::numeric END) AS per (per)
        CROSS JOIN LATERAL (SELECT p.is_plain AND scale(u.quantity) = 0) AS plain (is_plain)
        -- Computed once for each row, not once for each use.
        OFFSET 0
    ) AS m;
$$;

COMMENT ON FUNCTION billing.price_measurements IS
'Each measurement of p_measured (destination as normalize_destination gives it, occurred_at filled in), with what it
costs its tenant at that time. Never raises for what is foreseeable: problem says UB001, UB002, UB003 or,
of a row without an id, UB011 instead.
period_rate_id as in priced_usage. measured is in seconds for minutes; quantity and billed_quantity are in units of the resource.
Inlined into the statements that record many rows, which are to be planned without nested loops: how many rows there are is not
known then.';
