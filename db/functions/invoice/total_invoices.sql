-- invoice: the totals of invoices are the sums of their lines.
CREATE OR REPLACE FUNCTION billing.total_invoices(p_tenant_ids bigint[], p_invoice_ids bigint[])
RETURNS void
LANGUAGE sql
AS $$
    UPDATE billing.invoices AS i
    SET subtotal = sums.subtotal, tax = sums.tax, total_amount = sums.subtotal + sums.tax
    FROM (
        SELECT
            x.tenant_id, x.id,
            COALESCE(sum(l.amount) FILTER (WHERE l.kind <> 'tax'), 0) AS subtotal,
            COALESCE(sum(l.amount) FILTER (WHERE l.kind = 'tax'), 0) AS tax
        FROM billing.invoices AS x
        LEFT JOIN billing.invoice_line_items AS l
            ON l.tenant_id = x.tenant_id
            AND l.invoice_id = x.id
        WHERE x.tenant_id = ANY (p_tenant_ids)
            AND x.id = ANY (p_invoice_ids)
        GROUP BY x.tenant_id, x.id
    ) AS sums
    WHERE i.tenant_id = sums.tenant_id
        AND i.id = sums.id;
$$;

COMMENT ON FUNCTION billing.total_invoices IS 'Enters subtotal, tax and total of these drafts: the sums of their lines.';
