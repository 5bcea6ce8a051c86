-- invoice: money paid back.
CREATE OR REPLACE FUNCTION billing.refund_payment(
    p_payment_id bigint,
    p_amount numeric,
    p_reference text,
    p_at timestamptz DEFAULT now()
)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_payment billing.payments;
    v_refund billing.payments;
    v_left numeric;
    v_spent numeric;
BEGIN
    SELECT * INTO v_payment FROM billing.payments AS p WHERE p.id = p_payment_id AND p.refund_of IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown payment'
            USING ERRCODE = 'UB011',
                DETAIL = format('There is no payment %s.', COALESCE(p_payment_id::text, 'NULL')),
                HINT = 'billing.payments lists them.';
    END IF;
    PERFORM billing.require_invoice(v_payment.invoice_id);
    PERFORM billing.check_money(p_amount, v_payment.currency);
    IF (p_reference <> '') IS NOT TRUE THEN
        RAISE EXCEPTION 'no reference of the refund'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_reference is NULL or empty.',
                HINT = 'The reference is the bank''s or the gateway''s, and makes it safe to repeat.';
    END IF;

    SELECT *
    INTO v_refund
    FROM billing.payments AS p
    WHERE p.tenant_id = v_payment.tenant_id
        AND p.reference = p_reference;
    IF FOUND THEN
        IF (v_refund.refund_of, v_refund.amount) IS DISTINCT FROM (v_payment.id, -p_amount) THEN
            RAISE EXCEPTION 'the same reference with other figures'
                USING ERRCODE = 'UB004',
                    DETAIL = format('Payment %s under this reference is of %s.', v_refund.id, v_refund.amount),
                    HINT = 'Use another reference for another refund.';
        END IF;
        RETURN v_refund.id;
    END IF;

    SELECT v_payment.amount + COALESCE(sum(p.amount), 0)
    INTO v_left
    FROM billing.payments AS p
    WHERE p.tenant_id = v_payment.tenant_id
        AND p.refund_of = v_payment.id;
    IF p_amount > v_left THEN
        RAISE EXCEPTION 'the refund is above what is left of the payment'
            USING ERRCODE = 'UB003',
                DETAIL = format('Payment %s is of %s, %s not paid back.', v_payment.id, v_payment.amount, v_left),
                HINT = format('Pay at most %s back.', v_left);
    END IF;

    -- What an invoice asks for is not paid back as long as it asks for it: the money is the tenant's credit first. Credit that
    -- was given is no money.
    v_spent := billing.spend_credit(v_payment.tenant_id, p_amount, 'refund', format('refund %s', p_reference));
    IF v_spent < p_amount THEN
        RAISE EXCEPTION 'there is not enough credit to pay back'
            USING ERRCODE = 'UB008',
                DETAIL = format('Tenant %s has %s of the %s in credit that was not given.', v_payment.tenant_id, v_spent, p_amount),
                HINT = 'Take the invoice back first: billing.issue_credit_note makes credit of what was paid.';
    END IF;
    INSERT INTO billing.payments (
        tenant_id, invoice_id, amount, currency, method, reference, to_balance, refund_of, created_at
    )
    VALUES (
        v_payment.tenant_id, v_payment.invoice_id, -p_amount, v_payment.currency, v_payment.method, p_reference, -p_amount,
        v_payment.id, p_at
    )
    RETURNING * INTO v_refund;
    INSERT INTO billing.invoice_events (tenant_id, invoice_id, event, amount, detail, happened_at)
    VALUES (v_payment.tenant_id, v_payment.invoice_id, 'refund', -p_amount, p_reference, p_at);
    RETURN v_refund.id;
END;
$$;

COMMENT ON FUNCTION billing.refund_payment IS
'Enters that p_amount (major units) of a payment was paid back, out of the tenant''s credit: what was paid too much, or taken
back by a credit note; not what a plan includes or was granted. The refund''s id. The same p_reference again is the same
refund. Raises UB003, UB004, UB008 (not enough credit), UB011, UB012.';
