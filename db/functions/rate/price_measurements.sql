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
        CASE WHEN m.per = 1 THEN m.quantity ELSE trim_scale(m.quantity / m.per) END,
        CASE WHEN m.per = 1 THEN m.billed ELSE trim_scale(m.billed / m.per) END,
        m.unit_price,
        CASE
            WHEN m.by_terms THEN m.cost_by_terms
            ELSE billing.cost_per_unit(m.billed, m.per, m.unit_price, m.connection_fee, m.minimum_charge)
        END,
        m.period_rate_id
    FROM (
        SELECT
            u.*, at.at, t.timezone, t.currency, p.rate_id, p.unit_price, p.connection_fee, p.minimum_charge, p.by_terms,
            terms.total_cost AS cost_by_terms, terms.period_rate_id,
            CASE WHEN u.resource_type = 'minute' THEN 60::numeric ELSE 1::numeric END AS per,
            CASE
                WHEN p.by_terms THEN terms.billed
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
        LEFT JOIN LATERAL billing.find_price(
            t.cards, u.channel, u.resource_type, u.destination, at.at, t.currency
        ) AS p ON true
        CROSS JOIN LATERAL billing.price_by_terms(
            CASE
                WHEN p.by_terms
                    AND isfinite(at.at)
                    AND u.quantity > 0
                    AND u.quantity <= billing.largest_quantity(u.resource_type)
                    THEN p.rate_id
            END,
            u.resource_type, u.quantity, at.at
        ) AS terms
        -- Computed once for each row, not once for each use.
        OFFSET 0
    ) AS m;
$$;

COMMENT ON FUNCTION billing.price_measurements IS
'Each measurement of p_measured (destination as normalize_destination gives it, occurred_at filled in), with what it
costs its tenant at that time. Never raises for what is foreseeable: problem says UB001, UB002, UB003 or,
of a row without an id, UB011 instead.
period_rate_id as in priced_usage. measured is in seconds for minutes; quantity and billed_quantity are in units of the resource.';
