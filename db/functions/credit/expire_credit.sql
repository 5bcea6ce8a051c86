-- credit: enters what has lapsed.
CREATE OR REPLACE FUNCTION billing.expire_credit(p_tenant_id bigint)
RETURNS numeric
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_lot record;
    v_expired numeric := 0;
BEGIN
    PERFORM billing.lock_credit(p_tenant_id);
    FOR v_lot IN SELECT * FROM billing.list_lapsed_credit(p_tenant_id) LOOP
        PERFORM billing.enter_credit(
            p_tenant_id, -v_lot.amount, 'expiry',
            -- What usage needed first and gave back lapses after it.
            format('expiry %s%s', v_lot.entry_id, (
                SELECT ' ' || count(*) + 1
                FROM billing.credit_entries AS e
                WHERE e.tenant_id = p_tenant_id
                    AND e.kind = 'expiry'
                    AND e.lot_id = v_lot.entry_id
                HAVING count(*) > 0
            )),
            p_lots => ARRAY[v_lot.entry_id], p_amounts => ARRAY[v_lot.amount]
        );
        v_expired := v_expired + v_lot.amount;
    END LOOP;

    DELETE FROM billing.credit_expiries AS x
    USING billing.list_credit_lots(p_tenant_id) AS l
    WHERE x.tenant_id = p_tenant_id
        AND x.entry_id = l.entry_id
        AND l.remaining = 0;
    UPDATE billing.credit_expiries
    SET look_at = now() + interval '1 hour'
    WHERE tenant_id = p_tenant_id
        AND look_at <= now();
    RETURN v_expired;
END;
$$;

COMMENT ON FUNCTION billing.expire_credit IS
'Enters what has lapsed of the lots of p_tenant_id (list_lapsed_credit), an entry of kind expiry for each lot; the sum. Called by
maintain(), and by who reserves.';
