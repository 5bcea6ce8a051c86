-- credit: how much of its normal rate a tenant should be allowed as its balance falls.
CREATE OR REPLACE FUNCTION billing.allowance(p_tenant_id bigint)
RETURNS numeric
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_room record;
BEGIN
    IF NOT EXISTS (SELECT FROM billing.tenant_limits AS l WHERE l.tenant_id = p_tenant_id) THEN
        PERFORM billing.require_tenant(p_tenant_id);
        RETURN 1;
    END IF;
    SELECT *
    INTO v_room
    FROM billing.read_headroom(
        p_tenant_id, billing.get_reserved(p_tenant_id),
        (SELECT COALESCE(sum(l.amount), 0) FROM billing.list_lapsed_credit(p_tenant_id) AS l)
    );
    RETURN CASE
        WHEN v_room.headroom IS NULL THEN 1
        WHEN v_room.headroom <= 0 THEN 0
        ELSE LEAST(1, round(v_room.headroom / COALESCE(v_room.throttle_below, v_room.headroom), 4))
    END;
END;
$$;

COMMENT ON FUNCTION billing.allowance IS
'What share of its normal rate p_tenant_id should be allowed, 0 to 1 in four decimals: 1 while at least
tenant_limits.throttle_below may still be promised (balance, credit limit, spend cap, less what is reserved), falling evenly to
0 where nothing may be; 1 for a tenant without limits. Raises UB002.';
