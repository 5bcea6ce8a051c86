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
BEGIN
    SELECT * INTO v_tenant FROM billing.require_tenant(p_tenant_id);

    SELECT COALESCE(sum(e.amount), 0)
    INTO v_balance
    FROM billing.credit_entries AS e
    WHERE e.tenant_id = p_tenant_id
        AND e.created_at <= p_as_of;

    -- Not yet invoiced: on no day of an invoice that is past its draft.
    SELECT COALESCE(sum(s.total_cost), 0)
    INTO v_usage
    FROM billing.usage_summaries AS s
    WHERE s.tenant_id = p_tenant_id
        AND s.summary_date <= (p_as_of AT TIME ZONE v_tenant.timezone)::date
        AND NOT EXISTS (
            SELECT
            FROM billing.invoices AS i
            WHERE i.tenant_id = p_tenant_id
                AND i.status IN ('pending', 'paid', 'overdue')
                AND i.finalized_at <= p_as_of
                AND s.summary_date BETWEEN i.period_start AND i.period_end
        );

    RETURN QUERY
    SELECT
        v_balance,
        COALESCE((SELECT p.included_credits FROM billing.pricing_plans AS p WHERE p.id = v_tenant.plan_id AND p.currency = v_tenant.currency), 0),
        v_usage,
        0::numeric,
        v_balance - v_usage;
END;
$$;

COMMENT ON FUNCTION billing.get_tenant_balance IS
'Balance of p_tenant_id in major units of its currency: credit_balance entered up to p_as_of, the plan''s
included_credits, usage not yet invoiced up to that day, and what remains (credit_balance - current_usage - reserved).
reserved is 0: nothing reserves credit yet. Raises UB002.';
