-- invoice: one invoice.
CREATE OR REPLACE FUNCTION billing.get_invoice(p_invoice_id bigint)
RETURNS SETOF billing.invoices
LANGUAGE sql
STABLE
AS $$
    SELECT *
    FROM billing.invoices
    WHERE id = p_invoice_id;
$$;

COMMENT ON FUNCTION billing.get_invoice IS 'The invoice p_invoice_id; no row when there is none.';
