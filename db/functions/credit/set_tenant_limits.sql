-- credit: sets the limits of a tenant.
CREATE OR REPLACE FUNCTION billing.set_tenant_limits(
    p_tenant_id bigint,
    p_mode text DEFAULT 'prepaid',
    p_credit_limit numeric DEFAULT NULL,
    p_spend_cap numeric DEFAULT NULL,
    p_max_calls integer DEFAULT NULL,
    p_max_call_seconds integer DEFAULT NULL,
    p_throttle_below numeric DEFAULT NULL
)
RETURNS billing.tenant_limits
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_limits billing.tenant_limits;
BEGIN
    PERFORM billing.require_tenant(p_tenant_id);
    INSERT INTO billing.tenant_limits AS l (
        tenant_id, mode, credit_limit, spend_cap, max_calls, max_call_seconds, throttle_below
    )
    VALUES (
        p_tenant_id, p_mode, p_credit_limit, p_spend_cap, p_max_calls, COALESCE(p_max_call_seconds, 86400), p_throttle_below
    )
    ON CONFLICT (tenant_id) DO UPDATE
    SET
        mode = EXCLUDED.mode,
        credit_limit = EXCLUDED.credit_limit,
        spend_cap = EXCLUDED.spend_cap,
        max_calls = EXCLUDED.max_calls,
        max_call_seconds = EXCLUDED.max_call_seconds,
        throttle_below = EXCLUDED.throttle_below
    RETURNING * INTO v_limits;
    RETURN v_limits;
EXCEPTION
    WHEN check_violation OR not_null_violation THEN
        RAISE EXCEPTION 'bad limits'
            USING ERRCODE = 'UB012',
                DETAIL = format('Mode %s, credit limit %s, spend cap %s, %s calls of %s seconds, throttled below %s.',
                    p_mode, p_credit_limit, p_spend_cap, p_max_calls, p_max_call_seconds, p_throttle_below),
                HINT = 'The mode is prepaid or postpaid; amounts are finite and not negative.';
END;
$$;

COMMENT ON FUNCTION billing.set_tenant_limits IS
'Sets all limits of p_tenant_id as tenant_limits has them, effective at once; NULL: none (p_max_call_seconds: a day). Raises
UB002, UB012.';
