-- report: what the usage of a billing period costs so far, a line for each resource and each price of a period.
CREATE OR REPLACE FUNCTION billing.list_period_usage(
    p_tenant_id bigint,
    p_from date,
    p_to date,
    p_at timestamptz,
    p_by timestamptz DEFAULT NULL
)
RETURNS SETOF billing.period_charge
LANGUAGE sql
STABLE
AS $$
    SELECT u.*
    FROM (
        SELECT t.cards, t.currency
        FROM billing.tenant_terms AS t
        WHERE t.tenant_id = p_tenant_id
            AND t.valid_from <= p_at
        ORDER BY t.valid_from DESC
        LIMIT 1
    ) AS t
    CROSS JOIN LATERAL billing.price_sums(t.cards, t.currency, p_at, ARRAY(
        SELECT (
            'usage', d.channel, d.resource_type, NULLIF(d.rate_id, 0), NULL, sum(d.total_quantity), sum(d.billed),
            sum(d.record_count), sum(d.total_cost)
        )::billing.period_charge
        FROM (
            SELECT s.channel, s.resource_type, s.rate_id, s.total_quantity, s.billed, s.record_count, s.total_cost
            FROM billing.daily_sums AS s
            WHERE s.tenant_id = p_tenant_id
                AND s.summary_date BETWEEN p_from AND p_to
            UNION ALL
            SELECT l.channel, l.resource_type, l.rate_id, l.quantity, l.billed, l.record_count, l.amount
            FROM billing.list_later_usage(p_tenant_id, p_to, p_by) AS l
            WHERE p_by IS NOT NULL
        ) AS d
        GROUP BY d.channel, d.resource_type, d.rate_id
    )) AS u;
$$;

COMMENT ON FUNCTION billing.list_period_usage IS
'What p_tenant_id used from p_from to p_to, days of one billing period, and what it costs: a line without rate_id for what
was priced call by call, and one for each rate that prices the period''s whole quantity, also for one in force at p_at
that asks for a fee without usage. Exact, not rounded to the currency; constant in the number of records. p_by: an instant of p_to after which usage does not count; NULL: the whole day does. What
the plan adds to that (allowances, minimum and maximum spend) is price_plan_terms.';
