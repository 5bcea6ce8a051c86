-- credit: one reserver of a tenant at a time.
CREATE OR REPLACE FUNCTION billing.lock_account(p_tenant_id bigint)
RETURNS billing.credit_accounts
LANGUAGE plpgsql
AS $$
DECLARE
    v_account billing.credit_accounts;
BEGIN
    SELECT * INTO v_account FROM billing.credit_accounts WHERE tenant_id = p_tenant_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM billing.require_tenant(p_tenant_id);
        INSERT INTO billing.credit_accounts (tenant_id) VALUES (p_tenant_id) ON CONFLICT (tenant_id) DO NOTHING;
        PERFORM billing.look_closer(p_tenant_id);
        SELECT * INTO v_account FROM billing.credit_accounts WHERE tenant_id = p_tenant_id FOR NO KEY UPDATE;
    END IF;
    RETURN v_account;
EXCEPTION
    WHEN lock_not_available THEN
        RAISE EXCEPTION 'another transaction is reserving for this tenant'
            USING ERRCODE = 'UB016',
                DETAIL = format('The account of tenant %s was not to be had within lock_timeout.', p_tenant_id),
                HINT = 'Try again; commit right after reserving.';
END;
$$;

COMMENT ON FUNCTION billing.lock_account IS
'The account of p_tenant_id, opened with its first reservation, locked until the transaction ends. Who records usage never
looks at it. Waits as long as the caller''s lock_timeout lets it. Raises UB002, UB016.';
