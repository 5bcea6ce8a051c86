-- report: what the usage of a billing period costs so far, a line for each resource and each price of a period.
CREATE OR REPLACE FUNCTION billing.list_period_usage(
    p_tenant_id bigint,
    p_from date,
    p_to date,
    p_at timestamptz
)
RETURNS SETOF billing.period_charge
LANGUAGE sql
STABLE
AS $$
    WITH used AS (
        SELECT
            channel, resource_type, rate_id, sum(total_quantity) AS quantity, sum(billed) AS billed,
            sum(record_count)::bigint AS record_count, sum(total_cost) AS total_cost
        FROM billing.daily_sums
        WHERE tenant_id = p_tenant_id
            AND summary_date BETWEEN p_from AND p_to
        GROUP BY channel, resource_type, rate_id
    )
    SELECT
        'usage', u.channel, u.resource_type, r.id, NULL::numeric, u.quantity, u.billed, u.record_count,
        CASE
            WHEN r.id IS NULL THEN u.total_cost
            ELSE billing.apply_terms(
                r.charge_model, r.terms, billing.in_units(u.resource_type, u.billed),
                LEAST(u.record_count, 2147483647)::integer
            )
        END
    FROM used AS u
    LEFT JOIN billing.pricing_rates AS r ON r.id = u.rate_id
    UNION ALL
    -- A price with a fee at zero is owed by a tenant who used nothing, too.
    SELECT
        'usage', r.channel, r.resource_type, r.id, NULL, 0, 0, 0, billing.apply_terms(r.charge_model, r.terms, 0, 0)
    FROM (
        SELECT t.cards
        FROM billing.tenant_terms AS t
        WHERE t.tenant_id = p_tenant_id
            AND t.valid_from <= p_at
        ORDER BY t.valid_from DESC
        LIMIT 1
    ) AS t
    INNER JOIN billing.pricing_rates AS r
        ON r.card = ANY (t.cards)
        AND r.charge_model NOT IN ('per_unit', 'stepped')
        AND r.is_active
        AND r.effective_from <= p_at
        AND (r.effective_until IS NULL OR r.effective_until > p_at)
    WHERE billing.apply_terms(r.charge_model, r.terms, 0, 0) <> 0
        AND r.id = (billing.find_rate(p_tenant_id, r.channel, r.resource_type, r.prefix, p_at)).id
        AND NOT EXISTS (SELECT FROM used AS u WHERE u.rate_id = r.id);
$$;

COMMENT ON FUNCTION billing.list_period_usage IS
'What p_tenant_id used from p_from to p_to, days of one billing period, and what it costs: a line without rate_id for what
was priced call by call, and one for each rate that prices the period''s whole quantity, also for one in force at p_at
that asks for a fee without usage. Exact, not rounded to the currency; constant in the number of records. What
the plan adds to that (allowances, minimum and maximum spend) is price_plan_terms.';
