-- invoice: what was invoiced, for analysts.
CREATE OR REPLACE VIEW billing.revenue WITH (security_invoker = true) AS
SELECT
    date_trunc('month', i.period_start::timestamp)::date AS month, i.tenant_id, p.name AS plan, i.currency, l.kind, l.channel,
    l.resource_type, i.id AS invoice_id,
    -- Less the line's share of discounts and included credit.
    round(l.amount - (l.exact_amount - l.taxable_amount), billing.currency_decimals(i.currency)) AS amount
FROM billing.invoices AS i
INNER JOIN billing.invoice_line_items AS l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
LEFT JOIN billing.pricing_plans AS p ON p.id = i.plan_id
WHERE i.status IN ('pending', 'paid', 'overdue')
    AND l.taxable_amount IS NOT NULL
    AND l.kind <> 'tax'
UNION ALL
SELECT
    date_trunc('month', i.period_start::timestamp)::date, i.tenant_id, p.name, i.currency, 'credit_note', NULL, NULL, i.id,
    -round(c.subtotal, billing.currency_decimals(i.currency))
FROM billing.credit_notes AS c
INNER JOIN billing.invoices AS i ON i.tenant_id = c.tenant_id AND i.id = c.invoice_id
LEFT JOIN billing.pricing_plans AS p ON p.id = i.plan_id;

COMMENT ON VIEW billing.revenue IS
'Issued invoices without tax, line by line after discounts and included credit, and credit notes: to be added up by month,
plan and channel. Prepaid credit lowers what is paid, not what was sold.';
COMMENT ON COLUMN billing.revenue.month IS 'First day of the month in which the period began.';
COMMENT ON COLUMN billing.revenue.tenant_id IS 'Who was billed.';
COMMENT ON COLUMN billing.revenue.plan IS 'pricing_plans.name at the end of the period; NULL: none.';
COMMENT ON COLUMN billing.revenue.currency IS 'ISO 4217: add up one currency.';
COMMENT ON COLUMN billing.revenue.kind IS 'As invoice_line_items.kind, or credit_note.';
COMMENT ON COLUMN billing.revenue.channel IS 'Channel of usage; NULL for all else.';
COMMENT ON COLUMN billing.revenue.resource_type IS 'Resource of usage; NULL for all else.';
COMMENT ON COLUMN billing.revenue.invoice_id IS 'The invoice.';
COMMENT ON COLUMN billing.revenue.amount IS 'Major units of currency; of a credit note negative.';
