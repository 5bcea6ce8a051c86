-- invoice: money received.
CREATE OR REPLACE FUNCTION billing.record_payment(
    p_invoice_id bigint,
    p_amount numeric,
    p_method text,
    p_reference text,
    p_currency text DEFAULT NULL,
    p_at timestamptz DEFAULT now()
)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_invoice billing.invoices := billing.require_invoice(p_invoice_id);
    v_payment billing.payments;
    v_due numeric;
BEGIN
    PERFORM billing.check_money(p_amount, v_invoice.currency, p_currency);
    IF (p_method <> '' AND p_reference <> '') IS NOT TRUE THEN
        RAISE EXCEPTION 'no method or reference of the payment'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_method or p_reference is NULL or empty.',
                HINT = 'The reference is the payer''s or the gateway''s, and makes it safe to repeat.';
    END IF;

    SELECT *
    INTO v_payment
    FROM billing.payments AS p
    WHERE p.tenant_id = v_invoice.tenant_id
        AND p.reference = p_reference;
    IF FOUND THEN
        IF (v_payment.invoice_id, v_payment.amount, v_payment.method) <> (v_invoice.id, p_amount, p_method) THEN
            RAISE EXCEPTION 'the same reference with other figures'
                USING ERRCODE = 'UB004',
                    DETAIL = format('Payment %s under this reference is %s by %s for invoice %s.', v_payment.id,
                        v_payment.amount, v_payment.method, v_payment.invoice_id),
                    HINT = 'Use another reference for another payment.';
        END IF;
        RETURN v_payment.id;
    END IF;

    IF v_invoice.status NOT IN ('pending', 'overdue', 'paid') THEN
        RAISE EXCEPTION 'only an issued invoice can be paid'
            USING ERRCODE = 'UB007',
                DETAIL = format('Invoice %s is %s.', v_invoice.id, v_invoice.status),
                HINT = CASE v_invoice.status
                    WHEN 'draft' THEN 'Issue it first: billing.finalize_invoice.'
                    ELSE 'Enter the money as credit (billing.grant_credit), or for the invoice that took its place.'
                END;
    END IF;

    -- What is more than it asks for is kept for the tenant.
    v_due := GREATEST(v_invoice.total_amount - v_invoice.amount_paid - v_invoice.amount_credited, 0);
    INSERT INTO billing.payments (tenant_id, invoice_id, amount, currency, method, reference, to_balance, created_at)
    VALUES (
        v_invoice.tenant_id, v_invoice.id, p_amount, v_invoice.currency, p_method, p_reference,
        GREATEST(p_amount - v_due, 0), p_at
    )
    RETURNING * INTO v_payment;
    INSERT INTO billing.invoice_events (tenant_id, invoice_id, event, amount, detail, happened_at)
    VALUES (v_invoice.tenant_id, v_invoice.id, 'payment', p_amount, p_reference, p_at);
    PERFORM billing.settle_invoice(
        v_invoice.tenant_id, v_invoice.id, p_amount - v_payment.to_balance, 0, p_method, p_reference, p_at
    );
    IF v_payment.to_balance > 0 THEN
        -- A reference that nobody else has thought of: "payment 17" may be the application's own.
        PERFORM billing.grant_credit(
            v_invoice.tenant_id, v_payment.to_balance, 'payment', format('payment %s of invoice %s', v_payment.id, v_invoice.invoice_number)
        );
    END IF;
    RETURN v_payment.id;
END;
$$;

COMMENT ON FUNCTION billing.record_payment IS
'Money received for an issued invoice, in major units of its currency (p_currency: refuse any other); the payment''s id. The
same p_reference again is the same payment. In part, and more than once; what is more than the invoice asks for becomes
credit. This is what a gateway''s webhook calls. Raises UB003, UB004, UB007, UB011, UB012.';
