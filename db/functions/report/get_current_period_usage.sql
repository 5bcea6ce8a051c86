-- report: what a tenant used in the billing period that holds an instant.
CREATE OR REPLACE FUNCTION billing.get_current_period_usage(p_tenant_id bigint, p_as_of timestamptz DEFAULT now())
RETURNS TABLE (
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
    v_period record;
BEGIN
    SELECT * INTO v_period FROM billing.get_billing_period(p_tenant_id, p_as_of);
    RETURN QUERY
    SELECT s.channel, s.resource_type, sum(s.total_quantity), sum(s.total_cost), sum(s.record_count)::bigint
    FROM billing.usage_summaries AS s
    WHERE s.tenant_id = p_tenant_id
        AND s.summary_date BETWEEN v_period.period_start AND v_period.period_end
    GROUP BY s.channel, s.resource_type
    HAVING sum(s.record_count) <> 0 OR sum(s.total_quantity) <> 0 OR sum(s.total_cost) <> 0
    ORDER BY s.channel, s.resource_type;
END;
$$;

COMMENT ON FUNCTION billing.get_current_period_usage IS
'Usage per channel and resource in the billing period that holds p_as_of: quantity in units of the resource, cost exact
in major units of the tenant''s currency, record_count charges minus reversals. Raises UB002.';
