-- credit: brings an account up to date before something is promised on it.
CREATE OR REPLACE FUNCTION billing.settle_account(INOUT p_account billing.credit_accounts)
LANGUAGE plpgsql
AS $$
DECLARE
    v_ended record;
    -- A variable: a function that is volatile bounds no index.
    v_now timestamptz := clock_timestamp();
BEGIN
    -- First what reservations no longer hold: the usage that took their place is read after it, never before.
    WITH ended AS (
        UPDATE billing.reservations
        SET is_counted = false
        WHERE ctid = ANY (ARRAY(
            SELECT r.ctid
            FROM billing.reservations AS r
            WHERE r.tenant_id = p_account.tenant_id
                AND r.is_counted
                AND r.expires_at <= v_now
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING amount, resource_type
    )
    SELECT COALESCE(sum(e.amount), 0) AS amount, count(*) FILTER (WHERE e.resource_type = 'minute') AS calls
    INTO v_ended
    FROM ended AS e;
    p_account.reserved := p_account.reserved - v_ended.amount;
    p_account.calls := p_account.calls - v_ended.calls;

    IF EXISTS (
        SELECT FROM billing.credit_expiries AS x WHERE x.tenant_id = p_account.tenant_id AND x.expires_at <= now()
    ) AND EXISTS (
        SELECT FROM billing.list_lapsed_credit(p_account.tenant_id)
    ) THEN
        PERFORM billing.expire_credit(p_account.tenant_id);
    END IF;
    IF NOT EXISTS (
        SELECT
        FROM billing.included_grants AS g
        INNER JOIN public.tenants AS t ON t.id = g.tenant_id
        WHERE g.tenant_id = p_account.tenant_id
            AND g.granted_until > now()
            AND g.plan_id IS NOT DISTINCT FROM t.plan_id
    ) THEN
        PERFORM billing.grant_included_credits(p_account.tenant_id);
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.settle_account IS
'Takes off the account what its reservations no longer hold, enters what has lapsed and the included credit that is due. The
caller holds the account, and writes it.';
