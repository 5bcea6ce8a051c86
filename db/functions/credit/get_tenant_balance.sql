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
    v_today date;
BEGIN
    SELECT * INTO v_tenant FROM billing.require_tenant(p_tenant_id);
    v_today := (p_as_of AT TIME ZONE v_tenant.timezone)::date;

    SELECT COALESCE(sum(e.amount), 0)
    INTO v_balance
    FROM billing.credit_entries AS e
    WHERE e.tenant_id = p_tenant_id
        AND e.created_at <= p_as_of;

    -- Not yet invoiced: on no day of an invoice that is past its draft. Each period is priced by itself.
    SELECT COALESCE(sum(c.amount), 0)
    INTO v_usage
    FROM (
        SELECT
            period_start, min(day) AS first_day, max(day) AS last_day,
            billing.period_starting_by(period_start + 32, v_tenant.billing_cycle_day) AS next_start
        FROM (
            SELECT d.day, billing.period_starting_by(d.day, v_tenant.billing_cycle_day) AS period_start
            FROM (
                SELECT s.summary_date AS day
                FROM billing.daily_sums AS s
                WHERE s.tenant_id = p_tenant_id
                    AND s.summary_date <= v_today
                UNION
                SELECT v_today
            ) AS d
            WHERE NOT EXISTS (
                SELECT
                FROM billing.invoices AS i
                WHERE i.tenant_id = p_tenant_id
                    AND i.status IN ('pending', 'paid', 'overdue')
                    AND i.finalized_at <= p_as_of
                    AND d.day BETWEEN i.period_start AND i.period_end
            )
        ) AS open_days
        GROUP BY period_start
    ) AS p
    CROSS JOIN LATERAL (
        SELECT ARRAY(
            SELECT l
            FROM billing.list_period_usage(
                p_tenant_id, p.first_day, p.last_day,
                LEAST(p_as_of, (p.next_start::timestamp AT TIME ZONE v_tenant.timezone) - interval '1 microsecond')
            ) AS l
        )
    ) AS u (usage)
    CROSS JOIN LATERAL (
        SELECT x.amount FROM unnest(u.usage) AS x
        UNION ALL
        SELECT t.amount
        FROM billing.price_plan_terms(
            v_tenant.plan_id, v_tenant.currency, p.period_start, p.next_start <= v_today, u.usage
        ) AS t
    ) AS c;

    SELECT v_usage + COALESCE(sum(a.amount), 0)
    INTO v_usage
    FROM billing.adjustments AS a
    LEFT JOIN billing.invoices AS i ON i.tenant_id = a.tenant_id AND i.id = a.invoice_id
    WHERE a.tenant_id = p_tenant_id
        AND a.created_at <= p_as_of
        AND (i.status IN ('pending', 'paid', 'overdue') AND i.finalized_at <= p_as_of) IS NOT TRUE;

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
included_credits, usage and adjustments not yet invoiced up to that day (each billing period by its prices, allowances
and limits of spend), and what remains (credit_balance - current_usage - reserved).
reserved is 0: nothing reserves credit yet. Raises UB002.';
