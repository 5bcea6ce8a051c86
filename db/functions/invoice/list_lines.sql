-- invoice: the lines of an invoice before discounts and taxes.
CREATE OR REPLACE FUNCTION billing.list_lines(
    p_tenant_id bigint,
    p_invoice_id bigint,
    p_from date,
    p_to date,
    p_plan_id bigint,
    p_currency text,
    p_timezone text,
    p_billing_cycle_day integer
)
RETURNS TABLE (
    part integer,
    kind text,
    channel text,
    resource_type text,
    description text,
    quantity numeric,
    unit_price numeric,
    amount numeric,
    rate_id bigint,
    plan_id bigint,
    recurring_charge_id bigint,
    service_start date,
    service_end date
)
LANGUAGE sql
STABLE
AS $$
    WITH used AS MATERIALIZED (
        SELECT ARRAY(
            SELECT u
            FROM billing.list_invoice_usage(
                p_tenant_id, p_from, p_to, billing.start_of_day(p_to + 1, p_timezone) - interval '1 microsecond'
            ) AS u
        ) AS usage
    )
    SELECT
        1, f.kind, NULL::text, NULL::text, f.description, f.quantity, f.unit_price, f.amount, NULL::bigint, f.plan_id,
        NULL::bigint, f.service_start, f.service_end
    FROM billing.list_fees(p_tenant_id, p_from, p_to, p_billing_cycle_day, p_timezone) AS f
    UNION ALL
    SELECT
        2, u.kind, u.channel, u.resource_type, billing.describe_charge(u), u.quantity, u.unit_price, u.amount, u.rate_id,
        NULL, NULL, NULL, NULL
    FROM used
    CROSS JOIN unnest(used.usage) AS u
    UNION ALL
    SELECT
        CASE c.kind WHEN 'credit' THEN 3 ELSE 4 END, c.kind, c.channel, c.resource_type, billing.describe_charge(c),
        c.quantity, c.unit_price, c.amount, NULL, NULL, NULL, NULL, NULL
    FROM used
    CROSS JOIN LATERAL billing.price_plan_terms(
        p_plan_id, p_currency, p_from, true, used.usage, billing.currency_decimals(p_currency)
    ) AS c
    UNION ALL
    SELECT
        5, 'recurring', NULL, NULL, r.description, r.quantity, r.unit_price, r.amount, NULL, NULL, r.recurring_charge_id,
        r.service_start, r.service_end
    FROM billing.list_recurring(p_tenant_id, p_from, p_to, p_billing_cycle_day) AS r
    UNION ALL
    -- Adjustments of one period and cause share a line, so that they are rounded once.
    SELECT
        6, 'adjustment', NULL, NULL, a.description, 1, NULL, sum(a.amount), NULL, NULL, NULL, a.period_start, a.period_end
    FROM billing.adjustments AS a
    WHERE a.tenant_id = p_tenant_id
        AND a.invoice_id = p_invoice_id
    GROUP BY a.description, a.period_start, a.period_end
    HAVING sum(a.amount) <> 0;
$$;

COMMENT ON FUNCTION billing.list_lines IS
'The lines of invoice p_invoice_id from p_from to p_to, in parts to be read in order: fees, usage, what the plan includes,
its limits of spend, recurring charges, and what changed on earlier invoices. amount is exact, not rounded to p_currency.';
