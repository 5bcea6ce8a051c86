-- report: what a tenant used day by day, with each day's share of what a whole period costs.
CREATE OR REPLACE FUNCTION billing.list_daily_usage(
    p_tenant_id bigint,
    p_billing_cycle_day integer,
    p_from date,
    p_to date
)
RETURNS TABLE (
    summary_date date,
    channel text,
    resource_type text,
    total_quantity numeric,
    total_cost numeric,
    record_count bigint
)
LANGUAGE sql
STABLE
AS $$
    SELECT s.summary_date, s.channel, s.resource_type, s.total_quantity, s.total_cost, s.record_count
    FROM billing.daily_sums AS s
    WHERE s.tenant_id = p_tenant_id
        AND s.summary_date BETWEEN p_from AND p_to
        AND s.rate_id = 0
    UNION ALL
    -- f(up to this day) - f(up to the day before): the shares of all days add up to the period's price.
    SELECT d.summary_date, d.channel, d.resource_type, d.total_quantity, d.cost - COALESCE(d.cost_before, 0), d.record_count
    FROM (
        SELECT c.*, lag(c.cost) OVER (PARTITION BY c.rate_id, c.period_start ORDER BY c.summary_date) AS cost_before
        FROM (
            SELECT
                s.*,
                billing.apply_terms(
                    r.charge_model, r.terms,
                    billing.in_units(s.resource_type, sum(s.billed) OVER up_to_now),
                    LEAST(sum(s.record_count) OVER up_to_now, 2147483647)::integer
                ) AS cost
            FROM (
                SELECT
                    x.summary_date, x.channel, x.resource_type, x.rate_id, sum(x.total_quantity) AS total_quantity,
                    sum(x.billed) AS billed, sum(x.record_count)::bigint AS record_count,
                    billing.period_starting_by(x.summary_date, p_billing_cycle_day) AS period_start
                FROM billing.daily_sums AS x
                WHERE x.tenant_id = p_tenant_id
                    AND x.summary_date BETWEEN billing.period_starting_by(p_from, p_billing_cycle_day) AND p_to
                    AND x.rate_id <> 0
                GROUP BY x.summary_date, x.channel, x.resource_type, x.rate_id
            ) AS s
            INNER JOIN billing.pricing_rates AS r ON r.id = s.rate_id
            WINDOW up_to_now AS (PARTITION BY s.rate_id, s.period_start ORDER BY s.summary_date)
        ) AS c
    ) AS d
    WHERE d.summary_date >= p_from;
$$;

COMMENT ON FUNCTION billing.list_daily_usage IS
'The daily sums of p_tenant_id from p_from to p_to, several rows a day. A price of the whole period costs on each day what
that day''s usage added to the period''s price so far; under volume prices that may be less than nothing.';
