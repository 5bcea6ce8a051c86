-- credit: one writer of a tenant's entries at a time.
CREATE OR REPLACE FUNCTION billing.lock_credit(p_tenant_id bigint)
RETURNS void
LANGUAGE sql
AS $$
    SELECT
    FROM public.tenants
    WHERE id = p_tenant_id
    FOR NO KEY UPDATE;
$$;

COMMENT ON FUNCTION billing.lock_credit IS
'Locks the row of tenants, which whoever writes an entry updates anyway, before its lots are read.';
