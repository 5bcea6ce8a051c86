-- credit: adds to a tenant's balance, once for each reference.
CREATE OR REPLACE FUNCTION billing.grant_credit(
    p_tenant_id bigint,
    p_amount numeric,
    p_kind text,
    p_reference text,
    p_expires_at timestamptz DEFAULT NULL,
    p_priority integer DEFAULT 0
)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_id bigint;
    v_entry billing.credit_entries;
BEGIN
    -- A balance of any size could be entered, and none could be added to it.
    IF (p_amount > 0 AND p_amount < 1e15 AND scale(p_amount) <= 10) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad amount of credit'
            USING ERRCODE = 'UB003',
                DETAIL = format('The amount is %s.', COALESCE(p_amount::text, 'NULL')),
                HINT = 'Grant an amount above zero and below 1e15 with at most 10 decimals.';
    END IF;
    IF (p_kind IN ('purchase', 'grant', 'included', 'payment', 'refund', 'adjustment') AND p_reference <> '') IS NOT TRUE THEN
        RAISE EXCEPTION 'bad kind or reference of credit'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_kind is not known, or p_reference is NULL or empty.',
                HINT = 'The kind is purchase, grant, included, payment, refund or adjustment; the reference is yours and makes it safe to repeat.';
    END IF;
    IF (p_expires_at > now() AND p_expires_at <= '9999-12-30') IS FALSE OR p_priority IS NULL THEN
        RAISE EXCEPTION 'bad expiry or priority of credit'
            USING ERRCODE = 'UB012',
                DETAIL = format('The expiry is %s, the priority %s.', p_expires_at, COALESCE(p_priority::text, 'NULL')),
                HINT = 'The expiry is an instant still to come and before the year 10000, or NULL for never.';
    END IF;
    PERFORM billing.require_tenant(p_tenant_id);
    PERFORM billing.lock_credit(p_tenant_id);
    v_id := billing.enter_credit(p_tenant_id, p_amount, p_kind, p_reference, p_expires_at, p_priority);
    IF v_id IS NOT NULL THEN
        RETURN v_id;
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
again gives the same id and adds nothing. What is left at p_expires_at lapses (NULL: never); a lower p_priority is consumed
first. Raises UB002, UB003, UB004, UB012.';
