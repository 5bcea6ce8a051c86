-- invoice: gives back the credit that a void invoice has taken.
CREATE OR REPLACE FUNCTION billing.return_credit(p_tenant_id bigint, p_invoice_id bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_lot record;
BEGIN
    PERFORM billing.lock_credit(p_tenant_id);
    FOR v_lot IN
        SELECT e.id, l.kind, l.expires_at, l.priority, l.valid_from, u.lot_id, u.amount
        FROM billing.credit_entries AS e
        INNER JOIN billing.credit_uses AS u ON u.tenant_id = e.tenant_id AND u.entry_id = e.id
        INNER JOIN billing.credit_entries AS l ON l.tenant_id = u.tenant_id AND l.id = u.lot_id
        WHERE e.tenant_id = p_tenant_id
            AND e.reference IN (
                format('invoice %s, included credit', p_invoice_id), format('invoice %s, prepaid credit', p_invoice_id)
            )
        ORDER BY u.lot_id
    LOOP
        PERFORM billing.enter_credit(
            p_tenant_id, v_lot.amount, v_lot.kind, format('void invoice %s, lot %s', p_invoice_id, v_lot.lot_id),
            v_lot.expires_at, v_lot.priority, v_lot.valid_from
        );
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.return_credit IS
'Enters, for each lot that invoice p_invoice_id took credit from, a lot of the same kind, term and priority.';
