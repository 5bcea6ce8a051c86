-- invoice: takes an invoice back as a whole.
CREATE OR REPLACE FUNCTION billing.void_invoice(p_invoice_id bigint, p_reason text, p_at timestamptz DEFAULT now())
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_invoice billing.invoices := billing.require_invoice(p_invoice_id);
    v_other billing.invoices;
BEGIN
    IF (p_reason <> '') IS NOT TRUE THEN
        RAISE EXCEPTION 'no reason to void an invoice'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_reason is NULL or empty.',
                HINT = 'Say why: it stays with the invoice.';
    END IF;
    IF v_invoice.status = 'void' THEN
        RETURN v_invoice.id;
    END IF;
    IF v_invoice.status = 'paid' OR v_invoice.amount_paid > 0 OR v_invoice.amount_credited > 0
        OR EXISTS (SELECT FROM billing.credit_notes AS c WHERE c.tenant_id = v_invoice.tenant_id AND c.invoice_id = v_invoice.id)
    THEN
        RAISE EXCEPTION 'an invoice that was paid or credited cannot be voided'
            USING ERRCODE = 'UB007',
                DETAIL = format('Invoice %s is %s, %s paid and %s credited.', v_invoice.id, v_invoice.status,
                    v_invoice.amount_paid, v_invoice.amount_credited),
                HINT = 'Take it back by a credit note: billing.issue_credit_note.';
    END IF;

    -- Its period will be invoiced anew with all that came since: that must not be on another invoice already.
    SELECT i.*
    INTO v_other
    FROM billing.adjustments AS a
    INNER JOIN billing.invoices AS i ON i.tenant_id = a.tenant_id AND i.id = a.invoice_id
    WHERE a.tenant_id = v_invoice.tenant_id
        AND a.adjusted_invoice_id = v_invoice.id
        AND i.status IN ('pending', 'paid', 'overdue')
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'another invoice bills adjustments of this one'
            USING ERRCODE = 'UB007',
                DETAIL = format('Invoice %s (%s) corrects the period of invoice %s.', v_other.id, v_other.invoice_number, v_invoice.id),
                HINT = 'Void that one first, or take this one back by a credit note.';
    END IF;
    -- So with what it has asked for in advance, which its successor made up for.
    SELECT i.*
    INTO v_other
    FROM billing.invoice_line_items AS l
    INNER JOIN billing.invoices AS i
        ON i.tenant_id = l.tenant_id
        AND i.status IN ('pending', 'paid', 'overdue')
        AND l.service_start BETWEEN i.period_start AND i.period_end
    WHERE l.tenant_id = v_invoice.tenant_id
        AND l.invoice_id = v_invoice.id
        AND l.kind <> 'adjustment'
        AND l.service_start > v_invoice.period_end
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the period that this invoice asks a fee for in advance is invoiced'
            USING ERRCODE = 'UB007',
                DETAIL = format('Invoice %s (%s) takes that fee as paid.', v_other.id, v_other.invoice_number),
                HINT = 'Void that one first, or take this one back by a credit note.';
    END IF;

    UPDATE billing.adjustments AS a
    SET invoice_id = NULL
    WHERE a.tenant_id = v_invoice.tenant_id
        AND a.invoice_id = v_invoice.id;
    DELETE FROM billing.adjustments AS a
    WHERE a.tenant_id = v_invoice.tenant_id
        AND a.adjusted_invoice_id = v_invoice.id;
    UPDATE billing.invoices
    SET status = 'void', voided_at = p_at, void_reason = p_reason, dunning_level = 0
    WHERE tenant_id = v_invoice.tenant_id
        AND id = v_invoice.id;
    IF v_invoice.status <> 'draft' THEN
        PERFORM billing.return_credit(v_invoice.tenant_id, v_invoice.id);
        INSERT INTO billing.invoice_events (tenant_id, invoice_id, event, amount, detail, happened_at)
        VALUES (v_invoice.tenant_id, v_invoice.id, 'void', -v_invoice.total_amount, p_reason, p_at);
    END IF;
    RETURN v_invoice.id;
END;
$$;

COMMENT ON FUNCTION billing.void_invoice IS
'Makes an invoice void: it stays, with its number and lines, asks for nothing any more, and its period can be invoiced anew.
Adjustments that it billed wait for the next invoice again. Its id; again changes nothing. An invoice that was paid or
credited in part is refused (UB007): take it back by a credit note. Raises UB007, UB011, UB012.';
