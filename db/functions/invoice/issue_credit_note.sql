-- invoice: takes a part of an issued invoice back.
CREATE OR REPLACE FUNCTION billing.issue_credit_note(
    p_invoice_id bigint,
    p_amount numeric,
    p_reason text,
    p_reference text DEFAULT NULL,
    p_at timestamptz DEFAULT now()
)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_invoice billing.invoices := billing.require_invoice(p_invoice_id);
    v_note billing.credit_notes;
    v_decimals integer := billing.currency_decimals(v_invoice.currency);
    v_total numeric;
    v_credited numeric;
    v_due numeric;
BEGIN
    PERFORM billing.check_money(p_amount, v_invoice.currency);
    IF (p_reason <> '' AND p_reference <> '') IS FALSE OR p_reason IS NULL THEN
        RAISE EXCEPTION 'no reason of the credit note'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_reason is NULL or empty, or p_reference is empty.',
                HINT = 'The customer reads the reason.';
    END IF;

    SELECT *
    INTO v_note
    FROM billing.credit_notes AS c
    WHERE c.tenant_id = v_invoice.tenant_id
        AND c.invoice_id = v_invoice.id
        AND c.reference = COALESCE(p_reference, p_reason);
    IF FOUND THEN
        IF v_note.total_amount <> p_amount THEN
            RAISE EXCEPTION 'the same reference with other figures'
                USING ERRCODE = 'UB004',
                    DETAIL = format('Credit note %s under this reference is of %s.', v_note.credit_note_number, v_note.total_amount),
                    HINT = 'Give another reference (or reason) for another credit note.';
        END IF;
        RETURN v_note.id;
    END IF;

    IF v_invoice.status NOT IN ('pending', 'overdue', 'paid') THEN
        RAISE EXCEPTION 'only an issued invoice can be credited'
            USING ERRCODE = 'UB007',
                DETAIL = format('Invoice %s is %s.', v_invoice.id, v_invoice.status),
                HINT = CASE v_invoice.status WHEN 'draft' THEN 'A draft is drawn up anew instead.' ELSE 'It asks for nothing any more.' END;
    END IF;
    -- What was invoiced: a credit paid for before settles it, and can be given back as well.
    SELECT COALESCE(sum(l.amount), 0)
    INTO v_total
    FROM billing.invoice_line_items AS l
    WHERE l.tenant_id = v_invoice.tenant_id
        AND l.invoice_id = v_invoice.id
        AND NOT l.is_prepaid;
    SELECT COALESCE(sum(c.total_amount), 0)
    INTO v_credited
    FROM billing.credit_notes AS c
    WHERE c.tenant_id = v_invoice.tenant_id
        AND c.invoice_id = v_invoice.id;
    IF p_amount > v_total - v_credited THEN
        RAISE EXCEPTION 'the credit note is above what is left of the invoice'
            USING ERRCODE = 'UB007',
                DETAIL = format('Invoice %s is of %s, %s credited already.', v_invoice.id, v_total, v_credited),
                HINT = format('Credit at most %s.', GREATEST(v_total - v_credited, 0));
    END IF;

    -- What nobody has paid yet need not be paid; the rest becomes credit.
    v_due := GREATEST(v_invoice.total_amount - v_invoice.amount_paid - v_invoice.amount_credited, 0);
    INSERT INTO billing.credit_notes (
        tenant_id, invoice_id, credit_note_number, legal_entity_id, subtotal, tax, total_amount, to_balance, currency,
        reason, reference, taxes, parties, issued_at
    )
    SELECT
        v_invoice.tenant_id, v_invoice.id, '', v_invoice.legal_entity_id, p_amount - t.tax, t.tax, p_amount,
        GREATEST(p_amount - v_due, 0), v_invoice.currency, p_reason, COALESCE(p_reference, p_reason), t.taxes,
        v_invoice.parties, p_at
    FROM (
        -- Each tax up to here less the same before: in the end all of it, to the cent.
        SELECT
            COALESCE(sum(s.amount), 0) AS tax,
            COALESCE(jsonb_agg(jsonb_build_object(
                'line_id', s.id, 'tax_name', s.tax_name, 'tax_percent', s.tax_percent, 'amount', s.amount
            ) ORDER BY s.id), '[]') AS taxes
        FROM (
            SELECT
                l.id, l.tax_name, l.tax_percent,
                round(l.amount * (v_credited + p_amount) / v_total, v_decimals)
                    - round(l.amount * v_credited / v_total, v_decimals) AS amount
            FROM billing.invoice_line_items AS l
            WHERE l.tenant_id = v_invoice.tenant_id
                AND l.invoice_id = v_invoice.id
                AND l.kind = 'tax'
        ) AS s
    ) AS t
    RETURNING * INTO v_note;
    UPDATE billing.credit_notes AS c
    SET credit_note_number = n.document_number
    FROM billing.register_documents(
        'credit_note', ARRAY[v_invoice.legal_entity_id], ARRAY[v_invoice.period_start], ARRAY[v_invoice.tenant_id],
        ARRAY[v_note.id], ARRAY[billing.hash_credit_note(v_invoice.tenant_id, v_note.id)], p_at
    ) AS n
    WHERE c.tenant_id = n.tenant_id
        AND c.id = n.document_id
    RETURNING c.* INTO v_note;

    INSERT INTO billing.invoice_events (tenant_id, invoice_id, event, amount, detail, happened_at)
    VALUES (v_invoice.tenant_id, v_invoice.id, 'credit_note', -p_amount, v_note.credit_note_number, p_at);
    PERFORM billing.settle_invoice(
        v_invoice.tenant_id, v_invoice.id, 0, p_amount - v_note.to_balance, NULL, NULL, p_at
    );
    IF v_note.to_balance > 0 THEN
        PERFORM billing.grant_credit(
            v_invoice.tenant_id, v_note.to_balance, 'adjustment', format('credit note %s', v_note.credit_note_number)
        );
    END IF;
    RETURN v_note.id;
END;
$$;

COMMENT ON FUNCTION billing.issue_credit_note IS
'Takes p_amount (taxes included, major units) of an issued invoice back, in part or, in one or several, whole, never more;
the credit note''s id. Taxes go back in the invoice''s proportions. What is still due is lowered; what was paid becomes
credit. The same p_reference (else p_reason) for the invoice again is the same credit note. Raises UB003, UB004, UB007,
UB011, UB012.';
