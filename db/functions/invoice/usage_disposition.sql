-- invoice: what became of every usage record.
CREATE OR REPLACE VIEW billing.usage_disposition WITH (security_invoker = true) AS
SELECT
    r.tenant_id, r.id AS record_id, r.usage_date, r.channel, r.resource_type, r.resource_id, r.kind, r.quantity, r.total_cost,
    CASE
        WHEN i.id IS NULL THEN 'open'
        WHEN c.is_covered THEN 'invoiced'
        WHEN b.id IS NOT NULL THEN 'adjusted'
        ELSE 'late'
    END AS disposition,
    CASE WHEN c.is_covered THEN i.id ELSE b.id END AS invoice_id,
    COALESCE(l.id, m.id) AS line_id,
    a.id AS adjustment_id
FROM billing.usage_records AS r
LEFT JOIN billing.pricing_rates AS p ON p.id = r.rate_id
LEFT JOIN billing.invoices AS i
    ON i.tenant_id = r.tenant_id
    AND i.status IN ('pending', 'paid', 'overdue')
    AND r.usage_date BETWEEN i.period_start AND i.period_end
CROSS JOIN LATERAL (SELECT billing.covers(i.usage_cut, r.id, r.xact) AS is_covered) AS c
LEFT JOIN LATERAL (
    SELECT x.id
    FROM billing.invoice_line_items AS x
    INNER JOIN billing.pricing_rates AS q ON q.id = x.rate_id
    WHERE c.is_covered
        AND x.tenant_id = i.tenant_id
        AND x.invoice_id = i.id
        AND x.kind = 'usage'
        AND x.channel = r.channel
        AND x.resource_type = r.resource_type
        -- As list_invoice_usage puts prices on one line.
        AND CASE WHEN billing.is_period_priced(q.charge_model) THEN q.id = p.id ELSE
            x.unit_price = r.unit_cost
            AND (q.initial_increment, q.billing_increment, q.connection_fee, q.minimum_charge, q.charge_model, q.terms, q.calendar_id)
                IS NOT DISTINCT FROM
                (p.initial_increment, p.billing_increment, p.connection_fee, p.minimum_charge, p.charge_model, p.terms, p.calendar_id)
        END
    LIMIT 1
) AS l ON true
LEFT JOIN LATERAL (
    SELECT x.id, x.invoice_id, x.description, x.period_start
    FROM billing.adjustments AS x
    WHERE NOT c.is_covered
        AND x.tenant_id = i.tenant_id
        AND x.adjusted_invoice_id = i.id
        AND billing.covers(x.usage_cut, r.id, r.xact)
    ORDER BY x.usage_changes, x.id
    LIMIT 1
) AS a ON true
LEFT JOIN billing.invoices AS b
    ON b.tenant_id = r.tenant_id
    AND b.id = a.invoice_id
    AND b.status IN ('pending', 'paid', 'overdue')
LEFT JOIN LATERAL (
    SELECT x.id
    FROM billing.invoice_line_items AS x
    WHERE x.tenant_id = b.tenant_id
        AND x.invoice_id = b.id
        AND x.kind = 'adjustment'
        AND x.description = a.description
        AND x.service_start = a.period_start
    LIMIT 1
) AS m ON true;

COMMENT ON VIEW billing.usage_disposition IS
'Every usage record and what became of it; each is here once, so the sums over dispositions are those of all usage.';
COMMENT ON COLUMN billing.usage_disposition.tenant_id IS 'Whose usage. Ask for one tenant''s.';
COMMENT ON COLUMN billing.usage_disposition.record_id IS 'usage_records.id.';
COMMENT ON COLUMN billing.usage_disposition.usage_date IS 'As usage_records.usage_date.';
COMMENT ON COLUMN billing.usage_disposition.channel IS 'As usage_records.channel.';
COMMENT ON COLUMN billing.usage_disposition.resource_type IS 'As usage_records.resource_type.';
COMMENT ON COLUMN billing.usage_disposition.resource_id IS 'As usage_records.resource_id.';
COMMENT ON COLUMN billing.usage_disposition.kind IS 'charge or reversal.';
COMMENT ON COLUMN billing.usage_disposition.quantity IS 'As usage_records.quantity.';
COMMENT ON COLUMN billing.usage_disposition.total_cost IS 'As usage_records.total_cost.';
COMMENT ON COLUMN billing.usage_disposition.disposition IS
'open: its period is not invoiced; invoiced: on the invoice of its period; late: recorded after that was issued, and for the
next invoice; adjusted: on a later invoice, as an adjustment.';
COMMENT ON COLUMN billing.usage_disposition.invoice_id IS 'The issued invoice that bills it; NULL: none does.';
COMMENT ON COLUMN billing.usage_disposition.line_id IS 'The line on it; NULL: none, or the records of its price add up to nothing.';
COMMENT ON COLUMN billing.usage_disposition.adjustment_id IS 'adjustments.id that it is in; NULL: in none.';
