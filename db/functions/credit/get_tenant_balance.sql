-- credit: what a tenant has, has used and has left.
CREATE OR REPLACE FUNCTION billing.get_tenant_balance(p_tenant_id bigint, p_as_of timestamptz DEFAULT now())
RETURNS TABLE (
    credit_balance numeric,
    included_credits numeric,
    current_usage numeric,
    reserved numeric,
    remaining_credits numeric
)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_tenant record;
    v_balance numeric;
    v_usage numeric;
    v_reserved numeric;
BEGIN
    SELECT * INTO v_tenant FROM billing.require_tenant(p_tenant_id);
    v_usage := billing.open_usage(p_tenant_id, p_as_of);
    v_reserved := billing.get_reserved(p_tenant_id, p_as_of);
    SELECT COALESCE(sum(e.amount), 0) - COALESCE((SELECT sum(l.amount) FROM billing.list_lapsed_credit(p_tenant_id, p_as_of) AS l), 0)
    INTO v_balance
    FROM billing.credit_entries AS e
    WHERE e.tenant_id = p_tenant_id
        AND e.created_at <= p_as_of;

    RETURN QUERY
    SELECT
        v_balance,
        COALESCE((SELECT p.included_credits FROM billing.pricing_plans AS p WHERE p.id = v_tenant.plan_id AND p.currency = v_tenant.currency), 0),
        v_usage,
        v_reserved,
        v_balance - v_usage - v_reserved;
END;
$$;

COMMENT ON FUNCTION billing.get_tenant_balance IS
'Balance of p_tenant_id at p_as_of in major units of its currency. credit_balance: entries made by then, less what had lapsed
(list_lapsed_credit). included_credits: what the plan includes in a period. current_usage: usage that occurred by then (as
known now, whenever it was recorded) and adjustments made by then, on no invoice issued by then, each billing period by its
prices, allowances and limits of spend. reserved: held by then and not settled since. remaining_credits = credit_balance -
current_usage - reserved. At now() and later, usage of the whole day counts, so that nothing recorded is left out.
Raises UB002.';
