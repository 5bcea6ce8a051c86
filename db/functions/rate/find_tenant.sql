-- rate: what billing needs of one tenant, for a report or a function that runs as the owner.
CREATE OR REPLACE FUNCTION billing.find_tenant(
    p_tenant_id bigint,
    OUT plan_id bigint,
    OUT timezone text,
    OUT currency text,
    OUT billing_cycle_day integer,
    OUT credit_balance numeric
)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
AS $$
BEGIN
    IF row_security_active('billing.tenant_members'::regclass) THEN
        SELECT t.plan_id, t.timezone, t.currency, t.billing_cycle_day, t.credit_balance
        INTO plan_id, timezone, currency, billing_cycle_day, credit_balance
        FROM billing.read_tenants(p_tenant_id, false) AS t;
    ELSE
        SELECT
            t.plan_id, COALESCE(t.timezone, 'UTC'), COALESCE(t.currency, 'USD'),
            COALESCE(t.billing_cycle_day, 1), COALESCE(t.credit_balance, 0)
        INTO plan_id, timezone, currency, billing_cycle_day, credit_balance
        FROM public.tenants AS t
        WHERE t.id = p_tenant_id;
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.find_tenant IS
'What billing needs of p_tenant_id, as read_tenants has it; the currency is NULL where there is none, or none that the
current role may see. Functions of the owner read the table itself.';
