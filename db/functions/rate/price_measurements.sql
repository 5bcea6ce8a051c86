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
    total_cost numeric
)
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT
        m.source_id, m.part, m.tenant_id, m.channel, m.resource_type, m.resource_id, m.quantity, m.destination, m.at,
        CASE
            WHEN (m.quantity > 0 AND m.quantity <= billing.largest_quantity(m.resource_type) AND isfinite(m.at)) IS NOT TRUE
                THEN 'UB003'
            WHEN m.timezone IS NULL THEN 'UB002'
            WHEN m.rate_id IS NULL THEN 'UB001'
        END,
        m.rate_id,
        m.currency,
        (m.at AT TIME ZONE m.timezone)::date,
        CASE WHEN m.per = 1 THEN m.quantity ELSE trim_scale(m.quantity / m.per) END,
        CASE WHEN m.per = 1 THEN m.billed ELSE trim_scale(m.billed / m.per) END,
        m.unit_price,
        billing.cost_per_unit(m.billed, m.per, m.unit_price, m.connection_fee, m.minimum_charge)
    FROM (
        SELECT
            u.*, at.at, t.timezone, t.currency, p.rate_id, p.unit_price, p.connection_fee, p.minimum_charge,
            CASE WHEN u.resource_type = 'minute' THEN 60::numeric ELSE 1::numeric END AS per,
            CASE
                WHEN u.resource_type = 'minute'
                    THEN billing.bill_seconds(u.quantity, p.initial_increment, p.billing_increment)
                ELSE u.quantity
            END AS billed
        FROM unnest(p_measured) AS u
        CROSS JOIN LATERAL (SELECT COALESCE(u.occurred_at, statement_timestamp())) AS at (at)
        LEFT JOIN LATERAL (
            SELECT x.timezone, x.currency, x.cards
            FROM billing.tenant_terms AS x
            WHERE x.tenant_id = u.tenant_id
                AND x.valid_from <= at.at
            ORDER BY x.valid_from DESC
            LIMIT 1
        ) AS t ON true
        LEFT JOIN LATERAL (
            SELECT r.*
            FROM unnest(t.cards) AS c (card)
            CROSS JOIN LATERAL (
                SELECT x.*
                FROM billing.resolved_prices AS x
                WHERE x.card = c.card
                    AND x.channel = u.channel
                    AND x.resource_type = u.resource_type
                    AND x.lo <= COALESCE(u.destination, '')
                    AND x.valid_from <= at.at
                ORDER BY x.lo DESC, x.valid_from DESC
                LIMIT 1
            ) AS r
            WHERE r.rate_id IS NOT NULL
                AND r.currency = t.currency
            LIMIT 1
        ) AS p ON true
        -- Computed once for each row, not once for each use.
        OFFSET 0
    ) AS m;
$$;

COMMENT ON FUNCTION billing.price_measurements IS
'Each measurement of p_measured (destination as normalize_destination gives it, occurred_at filled in), with what it
costs its tenant at that time. Never raises for what is foreseeable: problem says UB001, UB002 or UB003 instead.
measured is in seconds for minutes; quantity and billed_quantity are in units of the resource.';
