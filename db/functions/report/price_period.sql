-- report: all that the usage of a billing period costs a tenant.
CREATE OR REPLACE FUNCTION billing.price_period(
    p_tenant_id bigint,
    p_plan_id bigint,
    p_currency text,
    p_period_start date,
    p_to date,
    p_at timestamptz,
    p_is_over boolean
)
RETURNS SETOF billing.period_charge
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_usage billing.period_charge[] := ARRAY(
        SELECT u FROM billing.list_period_usage(p_tenant_id, p_period_start, p_to, p_at) AS u
    );
BEGIN
    RETURN QUERY SELECT * FROM unnest(v_usage);
    RETURN QUERY SELECT * FROM billing.price_plan_terms(p_plan_id, p_currency, p_period_start, p_is_over, v_usage);
END;
$$;

COMMENT ON FUNCTION billing.price_period IS
'list_period_usage from the first day of a billing period to p_to, and what plan p_plan_id adds to it. The minimum spend
counts only when p_is_over. Exact: an invoice rounds each line.';
