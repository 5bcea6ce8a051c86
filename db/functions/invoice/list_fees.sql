-- invoice: the fees on an invoice: what plans ask for, less what was invoiced for the same time before.
CREATE OR REPLACE FUNCTION billing.list_fees(
    p_tenant_id bigint,
    p_from date,
    p_to date,
    p_billing_cycle_day integer,
    p_timezone text
)
RETURNS TABLE (
    kind text,
    description text,
    quantity numeric,
    unit_price numeric,
    amount numeric,
    plan_id bigint,
    service_start date,
    service_end date
)
LANGUAGE sql
STABLE
AS $$
    WITH times (part, first_day, last_day) AS (
        SELECT 1, p_from, p_to
        UNION ALL
        -- What is paid in advance.
        SELECT
            2, p_to + 1,
            billing.period_starting_by(
                billing.period_starting_by(p_to + 1, p_billing_cycle_day) + 32, p_billing_cycle_day
            ) - 1
    ),
    asked AS (
        SELECT t.part, t.first_day AS period_start, t.last_day AS period_end, s.*
        FROM times AS t
        CROSS JOIN LATERAL billing.list_fee_shares(
            p_tenant_id, t.first_day, t.last_day, p_billing_cycle_day, p_timezone
        ) AS s
        INNER JOIN billing.pricing_plans AS p ON p.id = s.plan_id
        WHERE t.part = 1
            OR p.fee_timing = 'advance'
    ),
    invoiced AS (
        SELECT t.part, t.first_day AS period_start, t.last_day AS period_end, l.plan_id, sum(l.amount) AS amount
        FROM times AS t
        CROSS JOIN billing.invoices AS i
        INNER JOIN billing.invoice_line_items AS l
            ON l.tenant_id = i.tenant_id
            AND l.invoice_id = i.id
        WHERE i.tenant_id = p_tenant_id
            AND i.status IN ('pending', 'paid', 'overdue')
            -- Fees of a time are on its own invoice, or on one before it.
            AND i.period_end BETWEEN p_from - 100 AND p_to + 100
            AND l.plan_id IS NOT NULL
            AND l.service_start BETWEEN t.first_day AND t.last_day
        GROUP BY t.part, t.first_day, t.last_day, l.plan_id
    )
    SELECT
        CASE WHEN a.amount = a.fee THEN 'plan_fee' ELSE 'proration' END,
        CASE
            WHEN a.amount = a.fee AND a.part = 1 THEN format('%s, monthly fee', p.display_name)
            WHEN a.amount = a.fee THEN format('%s, monthly fee, %s to %s', p.display_name, a.first_day, a.last_day)
            ELSE format('%s, %s to %s, %s of %s days', p.display_name, a.first_day, a.last_day, a.days, a.of_days)
        END,
        CASE WHEN a.amount = a.fee THEN 1 ELSE round(a.amount / a.fee, 10) END, a.fee, a.amount, a.plan_id, a.first_day, a.last_day
    FROM asked AS a
    INNER JOIN billing.pricing_plans AS p ON p.id = a.plan_id
    WHERE NOT EXISTS (SELECT FROM invoiced AS i WHERE i.part = a.part AND i.plan_id = a.plan_id)
    UNION ALL
    SELECT
        'proration',
        format(
            '%s, %s to %s, %s asked less %s invoiced in advance', p.display_name, i.period_start, i.period_end,
            round(COALESCE(a.amount, 0), billing.currency_decimals(p.currency)), i.amount
        ),
        1, NULL, COALESCE(a.amount, 0) - i.amount, i.plan_id, i.period_start, i.period_end
    FROM invoiced AS i
    INNER JOIN billing.pricing_plans AS p ON p.id = i.plan_id
    LEFT JOIN (
        SELECT x.part, x.plan_id, sum(x.amount) AS amount
        FROM asked AS x
        GROUP BY x.part, x.plan_id
    ) AS a ON a.part = i.part AND a.plan_id = i.plan_id
    WHERE round(COALESCE(a.amount, 0) - i.amount, billing.currency_decimals(p.currency)) <> 0
        AND (i.part = 1 OR a.amount IS NOT NULL)
    ORDER BY 7, 1, 6;
$$;

COMMENT ON FUNCTION billing.list_fees IS
'The fee lines of the invoice of p_from to p_to: for each plan that held in it what it asks for, and for plans paid in
advance the same for the period after it; less what issued invoices have asked for that time already, so that a plan that
began, ended or changed after it was paid for is made up for. amount is exact to 10 decimals, major units of the plan''s
currency. quantity: share of the fee.';
