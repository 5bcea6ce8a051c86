-- report: what a tenant used, by day, week, month, quarter or year.
CREATE OR REPLACE FUNCTION billing.get_usage_history(
    p_tenant_id bigint,
    p_from date,
    p_to date,
    p_interval text DEFAULT 'day'
)
RETURNS TABLE (
    bucket date,
    channel text,
    resource_type text,
    total_quantity numeric,
    total_cost numeric,
    record_count bigint
)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_tenant record;
BEGIN
    SELECT * INTO v_tenant FROM billing.require_tenant(p_tenant_id);
    IF (p_interval IN ('day', 'week', 'month', 'quarter', 'year') AND p_from <= p_to) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad range or interval'
            USING ERRCODE = 'UB012',
                DETAIL = format('From %s to %s by %s.', p_from, p_to, p_interval),
                HINT = 'p_from is not after p_to, and p_interval is day, week, month, quarter or year.';
    END IF;
    RETURN QUERY
    SELECT
        date_trunc(p_interval, s.summary_date::timestamp)::date AS day,
        s.channel, s.resource_type, sum(s.total_quantity), sum(s.total_cost), sum(s.record_count)::bigint
    FROM billing.list_daily_usage(p_tenant_id, v_tenant.billing_cycle_day, p_from, p_to) AS s
    GROUP BY day, s.channel, s.resource_type
    HAVING sum(s.record_count) <> 0 OR sum(s.total_quantity) <> 0 OR sum(s.total_cost) <> 0
    ORDER BY day, s.channel, s.resource_type;
END;
$$;

COMMENT ON FUNCTION billing.get_usage_history IS
'Usage from p_from to p_to (both included, days in the tenant''s time zone), summed by p_interval: bucket is the first
day of the day, week (Monday), month, quarter or year. Of a price of the whole period each day bears what it added. Raises UB002, UB012.';
