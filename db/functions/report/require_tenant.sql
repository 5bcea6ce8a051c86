-- report: the tenant, or the error that there is none.
CREATE OR REPLACE FUNCTION billing.require_tenant(
    p_tenant_id bigint,
    OUT plan_id bigint,
    OUT timezone text,
    OUT currency text,
    OUT billing_cycle_day integer,
    OUT credit_balance numeric
)
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    SELECT
        t.plan_id, COALESCE(t.timezone, 'UTC'), COALESCE(t.currency, 'USD'),
        COALESCE(t.billing_cycle_day, 1), COALESCE(t.credit_balance, 0)
    INTO plan_id, timezone, currency, billing_cycle_day, credit_balance
    FROM public.tenants AS t
    WHERE t.id = p_tenant_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown tenant'
            USING ERRCODE = 'UB002',
                DETAIL = format('There is no tenant %s.', COALESCE(p_tenant_id::text, 'NULL')),
                HINT = 'tenants lists the tenants.';
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.require_tenant IS 'What billing needs of a row of tenants; zone UTC, currency USD and cycle day 1 where it leaves them open. Raises
UB002.';
