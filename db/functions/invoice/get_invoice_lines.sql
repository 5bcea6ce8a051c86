-- invoice: the lines of one invoice, in the order of the paper.
CREATE OR REPLACE FUNCTION billing.get_invoice_lines(p_invoice_id bigint)
RETURNS SETOF billing.invoice_line_items
LANGUAGE sql
STABLE
AS $$
    SELECT l.*
    FROM billing.invoices AS i
    INNER JOIN billing.invoice_line_items AS l
        ON l.tenant_id = i.tenant_id
        AND l.invoice_id = i.id
    WHERE i.id = p_invoice_id
    ORDER BY l.id;
$$;

COMMENT ON FUNCTION billing.get_invoice_lines IS 'The lines of the invoice p_invoice_id, in order.';
