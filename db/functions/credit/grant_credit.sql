-- credit: adds to a tenant's balance, once for each reference.
CREATE OR REPLACE FUNCTION billing.grant_credit(
    p_tenant_id bigint,
    p_amount numeric,
    p_kind text,
    p_reference text,
    p_expires_at timestamptz DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_entry billing.credit_entries;
BEGIN
    IF (p_amount > 0 AND p_amount < 'Infinity' AND scale(p_amount) <= 10) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad amount of credit'
            USING ERRCODE = 'UB003',
                DETAIL = format('The amount is %s.', COALESCE(p_amount::text, 'NULL')),
                HINT = 'Grant a finite amount above zero with at most 10 decimals.';
    END IF;
    IF (p_kind IN ('purchase', 'grant', 'included', 'payment', 'refund', 'adjustment') AND p_reference <> '') IS NOT TRUE THEN
        RAISE EXCEPTION 'bad kind or reference of credit'
            USING ERRCODE = 'UB012',
                DETAIL = format('The kind is %L, the reference %L.', p_kind, p_reference),
                HINT = 'The kind is purchase, grant, included, payment, refund or adjustment; the reference is yours and makes it safe to repeat.';
    END IF;
    PERFORM billing.require_tenant(p_tenant_id);

    INSERT INTO billing.credit_entries (tenant_id, amount, kind, reference, expires_at)
    VALUES (p_tenant_id, p_amount, p_kind, p_reference, p_expires_at)
    ON CONFLICT (tenant_id, reference) DO NOTHING
    RETURNING * INTO v_entry;
    IF FOUND THEN
        UPDATE public.tenants
        SET credit_balance = COALESCE(credit_balance, 0) + p_amount
        WHERE id = p_tenant_id;
        RETURN v_entry.id;
    END IF;

    SELECT *
    INTO v_entry
    FROM billing.credit_entries
    WHERE tenant_id = p_tenant_id
        AND reference = p_reference;
    IF (v_entry.amount, v_entry.kind) IS DISTINCT FROM (p_amount, p_kind) THEN
        RAISE EXCEPTION 'the same reference with other figures'
            USING ERRCODE = 'UB004',
                DETAIL = format('Entry %s under this reference is %s of %s.', v_entry.id, v_entry.kind, v_entry.amount),
                HINT = 'Use another reference for another movement.';
    END IF;
    RETURN v_entry.id;
END;
$$;

COMMENT ON FUNCTION billing.grant_credit IS
'Adds p_amount (major units of the tenant''s currency) to the balance and gives the entry''s id; the same reference
again gives the same id and adds nothing. Raises UB002, UB003, UB004, UB012.';
