-- invoice: taxes, a line for each tax and rate.
CREATE OR REPLACE FUNCTION billing.apply_taxes(p_tenant_ids bigint[], p_invoice_ids bigint[])
RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO billing.invoice_line_items (
        tenant_id, invoice_id, kind, description, quantity, unit_price, amount, exact_amount, taxable_amount, tax_name,
        tax_treatment, tax_percent
    )
    SELECT
        t.tenant_id, t.invoice_id, 'tax',
        format(
            '%s %s %% of %s%s', t.name, trim_scale(t.percent), round(t.taxable, t.decimals), ': ' || t.note
        ),
        1, NULL, round(t.taxable * t.percent / 100, t.decimals), t.taxable * t.percent / 100, t.taxable, t.name,
        t.treatment, t.percent
    FROM (
        SELECT
            i.tenant_id, i.id AS invoice_id, r.name, r.treatment, r.percent, r.note,
            billing.currency_decimals(i.currency) AS decimals,
            -- Of a line that asks for nothing any more, what rounding left is not taxed either.
            sum(CASE WHEN l.amount = l.exact_amount - l.taxable_amount THEN 0 ELSE l.taxable_amount END) AS taxable
        FROM billing.invoices AS i
        INNER JOIN billing.invoice_line_items AS l
            ON l.tenant_id = i.tenant_id
            AND l.invoice_id = i.id
        CROSS JOIN LATERAL (
            SELECT DISTINCT ON (x.name) x.name, x.treatment, x.percent, x.note
            FROM billing.tax_rules AS x
            WHERE x.legal_entity_id = i.legal_entity_id
                AND (x.tenant_id IS NULL OR x.tenant_id = i.tenant_id)
                AND (x.kind IS NULL OR x.kind = CASE l.kind WHEN 'proration' THEN 'plan_fee' ELSE l.kind END)
                AND (x.channel IS NULL OR x.channel = l.channel)
                AND (x.resource_type IS NULL OR x.resource_type = l.resource_type)
                AND x.effective_from <= i.period_end
            ORDER BY
                x.name, x.tenant_id IS NULL, x.channel IS NULL, x.resource_type IS NULL, x.kind IS NULL,
                x.effective_from DESC
        ) AS r
        WHERE i.tenant_id = ANY (p_tenant_ids)
            AND i.id = ANY (p_invoice_ids)
            AND l.taxable_amount IS NOT NULL
        GROUP BY i.tenant_id, i.id, i.currency, r.name, r.treatment, r.percent, r.note
    ) AS t
    ORDER BY t.tenant_id, t.invoice_id, t.name, t.percent DESC, t.treatment, t.note;
$$;

COMMENT ON FUNCTION billing.apply_taxes IS
'Adds the tax lines to these drafts: for each tax, rate and note the sum of what its lines are taxed on, exact, times the
rate, rounded once; a line of which nothing is left to pay counts nothing. An exemption or reverse charge is a line of 0 that says so.';
