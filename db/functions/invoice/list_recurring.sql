-- invoice: number rentals and other recurring charges on an invoice.
CREATE OR REPLACE FUNCTION billing.list_recurring(
    p_tenant_id bigint,
    p_from date,
    p_to date,
    p_billing_cycle_day integer
)
RETURNS TABLE (
    description text,
    quantity numeric,
    unit_price numeric,
    amount numeric,
    recurring_charge_id bigint,
    service_start date,
    service_end date
)
LANGUAGE sql
STABLE
AS $$
    WITH times AS (
        SELECT t.part, t.first_day, t.last_day, w.first_day AS whole_start, w.last_day AS whole_end
        FROM (VALUES (1, p_from), (2, p_to + 1)) AS s (part, first_day)
        CROSS JOIN LATERAL (
            SELECT x.first_day, billing.period_starting_by(x.first_day + 32, p_billing_cycle_day) - 1 AS last_day
            FROM (SELECT billing.period_starting_by(s.first_day, p_billing_cycle_day)) AS x (first_day)
        ) AS w
        CROSS JOIN LATERAL (SELECT s.part, s.first_day, CASE s.part WHEN 1 THEN p_to ELSE w.last_day END AS last_day) AS t
    ),
    asked AS (
        SELECT
            t.part, t.first_day AS period_start, t.last_day AS period_end, c.id, c.description, c.quantity, c.unit_price,
            d.first_day, d.last_day, d.days, d.of_days,
            CASE c.proration
                WHEN 'day' THEN billing.round_quotient(c.quantity * c.unit_price * d.days, d.of_days)
                ELSE round(c.quantity * c.unit_price, 10)
            END AS amount
        FROM billing.recurring_charges AS c
        CROSS JOIN times AS t
        CROSS JOIN LATERAL (
            SELECT
                GREATEST(t.first_day, c.starts_on) AS first_day, LEAST(t.last_day, c.ends_on) AS last_day,
                LEAST(t.last_day, c.ends_on) - GREATEST(t.first_day, c.starts_on) + 1 AS days,
                t.whole_end - t.whole_start + 1 AS of_days
        ) AS d
        WHERE c.tenant_id = p_tenant_id
            AND d.days > 0
            AND (t.part = 1 OR c.timing = 'advance')
    ),
    invoiced AS (
        SELECT t.part, t.first_day AS period_start, t.last_day AS period_end, l.recurring_charge_id AS id, sum(l.amount) AS amount
        FROM times AS t
        CROSS JOIN billing.invoices AS i
        INNER JOIN billing.invoice_line_items AS l
            ON l.tenant_id = i.tenant_id
            AND l.invoice_id = i.id
        WHERE i.tenant_id = p_tenant_id
            AND i.status IN ('pending', 'paid', 'overdue')
            AND i.period_end BETWEEN p_from - 100 AND p_to + 100
            AND l.recurring_charge_id IS NOT NULL
            AND l.service_start BETWEEN t.first_day AND t.last_day
        GROUP BY t.part, t.first_day, t.last_day, l.recurring_charge_id
    )
    SELECT
        CASE
            WHEN a.days = a.of_days AND a.part = 1 THEN a.description
            WHEN a.days = a.of_days THEN format('%s, %s to %s', a.description, a.first_day, a.last_day)
            ELSE format('%s, %s to %s, %s of %s days', a.description, a.first_day, a.last_day, a.days, a.of_days)
        END,
        a.quantity, a.unit_price, a.amount, a.id, a.first_day, a.last_day
    FROM asked AS a
    WHERE NOT EXISTS (SELECT FROM invoiced AS i WHERE i.part = a.part AND i.id = a.id)
        AND a.amount <> 0
    UNION ALL
    SELECT
        format('%s, %s to %s, less %s invoiced in advance', c.description, i.period_start, i.period_end, i.amount),
        1, NULL, COALESCE(a.amount, 0) - i.amount, i.id, i.period_start, i.period_end
    FROM invoiced AS i
    INNER JOIN billing.recurring_charges AS c ON c.tenant_id = p_tenant_id AND c.id = i.id
    LEFT JOIN asked AS a ON a.part = i.part AND a.id = i.id
    WHERE i.part = 1
        AND COALESCE(a.amount, 0) <> i.amount
    ORDER BY 5, 6;
$$;

COMMENT ON FUNCTION billing.list_recurring IS
'The recurring charges on the invoice of p_from to p_to, and those paid in advance for the period after it, less what was
invoiced for that time already. amount is exact to 10 decimals, major units of the tenant''s currency.';
