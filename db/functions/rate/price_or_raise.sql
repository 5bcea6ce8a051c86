-- rate: a price, or the error that says why there is none.
CREATE OR REPLACE FUNCTION billing.price_or_raise(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_quantity numeric,
    p_destination text,
    p_at timestamptz
)
RETURNS billing.priced_usage
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_priced billing.priced_usage := billing.price_usage(
        p_tenant_id, p_channel, p_resource_type, p_quantity, billing.normalize_destination(p_destination),
        -- A time that no zone can place is no time.
        CASE WHEN p_at BETWEEN '0001-01-02' AND '9999-12-30' THEN p_at END
    );
BEGIN
    IF v_priced.problem IS NOT NULL THEN
        RAISE EXCEPTION '%', billing.problem_reason(v_priced.problem)
            USING ERRCODE = v_priced.problem,
                DETAIL = format('Tenant %s, %s/%s, quantity %s, at %s.', p_tenant_id, p_channel, p_resource_type, p_quantity, p_at),
                HINT = billing.problem_hint(v_priced.problem);
    END IF;
    RETURN v_priced;
END;
$$;

COMMENT ON FUNCTION billing.price_or_raise IS
'price_usage for callers who asked directly: raises UB001, UB002 or UB003 where it reports a problem. p_quantity is
seconds for minutes; p_destination is normalized here.';
