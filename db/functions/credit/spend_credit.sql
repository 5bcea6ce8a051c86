-- credit: takes from a tenant's balance what is there, once for each reference.
CREATE OR REPLACE FUNCTION billing.spend_credit(
    p_tenant_id bigint,
    p_amount numeric,
    p_kind text,
    p_reference text,
    p_used_by timestamptz DEFAULT now()
)
RETURNS numeric
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_entry billing.credit_entries;
    v_taken record;
BEGIN
    IF (p_amount > 0 AND p_amount < 'Infinity' AND scale(p_amount) <= 10) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad amount of credit'
            USING ERRCODE = 'UB003',
                DETAIL = format('The amount is %s.', COALESCE(p_amount::text, 'NULL')),
                HINT = 'Spend a finite amount above zero with at most 10 decimals.';
    END IF;
    IF (p_kind IN ('invoice', 'refund', 'adjustment') AND p_reference <> '' AND isfinite(p_used_by)) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad kind, reference or time of credit'
            USING ERRCODE = 'UB012',
                DETAIL = format('p_kind is not known, p_reference is NULL or empty, or p_used_by is %L.', p_used_by),
                HINT = 'The kind is invoice, refund or adjustment; the reference is yours and makes it safe to repeat.';
    END IF;
    PERFORM billing.require_tenant(p_tenant_id);
    PERFORM billing.lock_credit(p_tenant_id);

    SELECT *
    INTO v_entry
    FROM billing.credit_entries
    WHERE tenant_id = p_tenant_id
        AND reference = p_reference;
    IF FOUND THEN
        IF v_entry.kind <> p_kind OR v_entry.amount > 0 OR -v_entry.amount > p_amount THEN
            RAISE EXCEPTION 'the same reference with other figures'
                USING ERRCODE = 'UB004',
                    DETAIL = format('Entry %s under this reference is %s of %s.', v_entry.id, v_entry.kind, v_entry.amount),
                    HINT = 'Use another reference for another movement.';
        END IF;
        RETURN -v_entry.amount;
    END IF;

    SELECT *
    INTO v_taken
    FROM billing.take_from_lots(p_tenant_id, p_amount, p_used_by, CASE p_kind WHEN 'refund' THEN 'refund' END);
    IF v_taken.amount > 0 THEN
        PERFORM billing.enter_credit(
            p_tenant_id, -v_taken.amount, p_kind, p_reference, p_lots => v_taken.lots, p_amounts => v_taken.amounts
        );
    END IF;
    RETURN v_taken.amount;
END;
$$;

COMMENT ON FUNCTION billing.spend_credit IS
'Takes p_amount (major units of the tenant''s currency), or what is there where that is less, from the lots of p_tenant_id
in consumption order, as one negative entry, and gives what it took; 0 and no entry where nothing is there. The same
reference again takes nothing and gives the same. p_used_by: the last instant of what is paid for, so that an invoice of a
period takes that period''s included credit, not the next one''s. p_kind refund is money paid back: it takes nothing of what a plan
includes or was granted. Raises UB002, UB003, UB004, UB012.';
