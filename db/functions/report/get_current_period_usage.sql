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
    SELECT u.channel, u.resource_type, sum(u.quantity), sum(u.amount), sum(u.record_count)::bigint
    FROM billing.list_period_usage(p_tenant_id, v_period.period_start, v_period.period_end, p_as_of) AS u
    GROUP BY u.channel, u.resource_type
    HAVING sum(u.record_count) <> 0 OR sum(u.quantity) <> 0 OR sum(u.amount) <> 0
    ORDER BY u.channel, u.resource_type;
END;
$$;

COMMENT ON FUNCTION billing.get_current_period_usage IS
'Usage per channel and resource in the billing period that holds p_as_of: quantity in units of the resource, cost exact
in major units of the tenant''s currency, record_count charges minus reversals. A price of the whole period (tiers,
packages) is applied to all that the period holds so far. What the plan includes is not taken off here: get_tenant_balance
and the invoice do that. Raises UB002.';
