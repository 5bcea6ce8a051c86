-- credit: what may still be promised to a tenant.
CREATE OR REPLACE FUNCTION billing.read_headroom(
    p_tenant_id bigint,
    p_reserved numeric,
    p_lapsed numeric DEFAULT 0,
    OUT headroom numeric,
    OUT throttle_below numeric,
    OUT max_calls integer,
    OUT max_call_seconds integer
)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_limits billing.tenant_limits;
    v_remaining numeric;
BEGIN
    SELECT * INTO v_limits FROM billing.tenant_limits AS l WHERE l.tenant_id = p_tenant_id;
    throttle_below := v_limits.throttle_below;
    max_calls := v_limits.max_calls;
    max_call_seconds := COALESCE(v_limits.max_call_seconds, 86400);

    -- NULL: no end.
    IF v_limits.mode = 'postpaid' AND v_limits.credit_limit IS NULL THEN
        headroom := NULL;
    ELSE
        SELECT t.credit_balance - p_lapsed - billing.open_usage(p_tenant_id, now()) - p_reserved
        INTO v_remaining
        FROM billing.find_tenant(p_tenant_id) AS t;
        headroom := v_remaining + COALESCE(v_limits.credit_limit, 0);
    END IF;

    IF v_limits.spend_cap IS NOT NULL THEN
        headroom := LEAST(headroom, v_limits.spend_cap - p_reserved - (
            SELECT COALESCE(sum(u.total_cost), 0)
            FROM billing.get_current_period_usage(p_tenant_id) AS u
        ));
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.read_headroom IS
'What may still be promised to p_tenant_id by its balance and limits, with p_reserved promised already; NULL: no end. Major
units of its currency, below zero where it is overdrawn. p_lapsed: what has lapsed of its balance and expire_credit has not yet
taken off. Raises UB002.';
