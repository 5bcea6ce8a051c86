-- operate: lets a role no longer see a tenant.
CREATE OR REPLACE FUNCTION billing.revoke_tenant_access(p_member text, p_tenant_id bigint DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_count integer;
BEGIN
    DELETE FROM billing.tenant_members
    WHERE member::text = p_member
        AND (p_tenant_id IS NULL OR tenant_id = p_tenant_id);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END;
$$;

COMMENT ON FUNCTION billing.revoke_tenant_access IS
'Takes back what grant_tenant_access gave p_member, for p_tenant_id or for every tenant (NULL); how many tenants. From the next
statement on it sees them no more. The role need not exist any more.';
