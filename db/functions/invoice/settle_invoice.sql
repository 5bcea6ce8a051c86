-- invoice: the status that follows from what was paid and credited.
CREATE OR REPLACE FUNCTION billing.settle_invoice(
    p_tenant_id bigint,
    p_invoice_id bigint,
    p_paid numeric,
    p_credited numeric,
    p_method text,
    p_reference text,
    p_at timestamptz
)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_invoice billing.invoices;
BEGIN
    UPDATE billing.invoices AS i
    SET
        amount_paid = i.amount_paid + p_paid,
        amount_credited = i.amount_credited + p_credited,
        status = CASE WHEN i.amount_paid + p_paid + i.amount_credited + p_credited >= i.total_amount THEN 'paid' ELSE i.status END,
        paid_at = CASE WHEN i.amount_paid + p_paid + i.amount_credited + p_credited >= i.total_amount THEN p_at END,
        payment_method = COALESCE(p_method, i.payment_method),
        payment_reference = COALESCE(p_reference, i.payment_reference)
    WHERE i.tenant_id = p_tenant_id
        AND i.id = p_invoice_id
        AND i.status IN ('pending', 'overdue')
    RETURNING i.* INTO v_invoice;
    IF v_invoice.status = 'paid' THEN
        INSERT INTO billing.invoice_events (tenant_id, invoice_id, event, detail, happened_at)
        VALUES (p_tenant_id, p_invoice_id, 'paid', p_reference, p_at);
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.settle_invoice IS
'Counts p_paid and p_credited (major units of its currency) towards an open invoice, which is paid when nothing is left.';
