-- credit: what an alert compares.
CREATE OR REPLACE FUNCTION billing.get_alert_figure(
    p_tenant_id bigint,
    p_basis text,
    OUT period_start date,
    OUT used numeric,
    OUT total numeric,
    OUT currency text
)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_tenant record;
BEGIN
    SELECT * INTO v_tenant FROM billing.require_tenant(p_tenant_id);
    SELECT p.period_start INTO period_start FROM billing.get_billing_period(p_tenant_id) AS p;
    currency := v_tenant.currency;
    IF p_basis = 'balance' THEN
        SELECT b.current_usage, GREATEST(b.credit_balance, 0)
        INTO used, total
        FROM billing.get_tenant_balance(p_tenant_id) AS b;
        RETURN;
    END IF;
    SELECT COALESCE(sum(u.total_cost), 0) INTO used FROM billing.get_current_period_usage(p_tenant_id) AS u;
    total := CASE p_basis
        WHEN 'included' THEN (
            SELECT NULLIF(p.included_credits, 0)
            FROM billing.pricing_plans AS p
            WHERE p.id = v_tenant.plan_id AND p.currency = v_tenant.currency
        )
        WHEN 'cap' THEN (SELECT l.spend_cap FROM billing.tenant_limits AS l WHERE l.tenant_id = p_tenant_id)
    END;
END;
$$;

COMMENT ON FUNCTION billing.get_alert_figure IS
'What p_tenant_id has used and what a percentage of it is of, by p_basis as alert_thresholds has it, in the present billing
period; total NULL: of nothing. Major units of currency. Raises UB002.';
