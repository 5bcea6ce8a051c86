-- report: the billing period of a tenant that holds an instant.
CREATE OR REPLACE FUNCTION billing.get_billing_period(
    p_tenant_id bigint,
    p_as_of timestamptz DEFAULT now(),
    OUT period_start date,
    OUT period_end date
)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_tenant record;
BEGIN
    SELECT * INTO v_tenant FROM billing.require_tenant(p_tenant_id);
    period_start := billing.period_starting_by(billing.day_in_zone(p_as_of, v_tenant.timezone), v_tenant.billing_cycle_day);
    -- 32 days on is always in the next period but never past its end.
    period_end := billing.period_starting_by(period_start + 32, v_tenant.billing_cycle_day) - 1;
END;
$$;

COMMENT ON FUNCTION billing.get_billing_period IS
'First and last day (both included) of the billing period that holds p_as_of, in the tenant''s time zone and by its
billing_cycle_day. Raises UB002.';
