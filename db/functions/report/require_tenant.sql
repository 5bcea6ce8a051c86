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
    SELECT t.plan_id, t.timezone, t.currency, t.billing_cycle_day, t.credit_balance
    INTO plan_id, timezone, currency, billing_cycle_day, credit_balance
    FROM billing.find_tenant(p_tenant_id) AS t;
    IF currency IS NULL THEN
        RAISE EXCEPTION 'unknown tenant'
            USING ERRCODE = 'UB002',
                DETAIL = format('There is no tenant %s.', COALESCE(p_tenant_id::text, 'NULL')),
                HINT = 'tenants lists the tenants.';
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.require_tenant IS
'What billing needs of a row of tenants; zone UTC, currency USD and cycle day 1 where it leaves them open. Raises UB002, for
a tenant that the current role may not see as for one that does not exist.';
