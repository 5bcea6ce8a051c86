-- invoice: the invoice, locked, or the error that there is none.
CREATE OR REPLACE FUNCTION billing.require_invoice(p_invoice_id bigint)
RETURNS billing.invoices
LANGUAGE plpgsql
AS $$
DECLARE
    v_invoice billing.invoices;
BEGIN
    SELECT * INTO v_invoice FROM billing.invoices WHERE id = p_invoice_id;
    IF FOUND THEN
        PERFORM billing.lock_invoicing(ARRAY[v_invoice.tenant_id]);
        SELECT * INTO v_invoice FROM billing.invoices WHERE tenant_id = v_invoice.tenant_id AND id = p_invoice_id FOR UPDATE;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown invoice'
            USING ERRCODE = 'UB011',
                DETAIL = format('There is no invoice %s.', COALESCE(p_invoice_id::text, 'NULL')),
                HINT = 'billing.get_invoices lists a tenant''s invoices.';
    END IF;
    RETURN v_invoice;
END;
$$;

COMMENT ON FUNCTION billing.require_invoice IS
'The invoice p_invoice_id as it is once lock_invoicing is held for its tenant. Raises UB011.';
