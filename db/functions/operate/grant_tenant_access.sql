-- operate: lets a role see a tenant.
CREATE OR REPLACE FUNCTION billing.grant_tenant_access(p_member text, p_tenant_id bigint)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
BEGIN
    PERFORM FROM pg_roles WHERE rolname::text = p_member;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such role'
            USING ERRCODE = 'UB011',
                DETAIL = 'This server has no role of that name.',
                HINT = 'CREATE ROLE first: access is given to a name, and whoever got that name later would have it.';
    ELSIF p_member IN (
        'billing_writer', 'billing_reader', 'billing_analyst', 'billing_numbers', 'billing_admin', 'billing_tenant', 'billing_api'
    ) THEN
        RAISE EXCEPTION 'access is given to those who log in'
            USING ERRCODE = 'UB012',
                DETAIL = format('%s is a role that others are granted.', p_member),
                HINT = 'Name the role that logs in. An API says whose request it is by the setting billing.tenant_id.';
    END IF;
    PERFORM billing.require_tenant(p_tenant_id);
    INSERT INTO billing.tenant_members (member, tenant_id, granted_by)
    VALUES (p_member::name, p_tenant_id, billing.acting_role())
    ON CONFLICT (member, tenant_id) DO NOTHING;
    RETURN FOUND;
END;
$$;

COMMENT ON FUNCTION billing.grant_tenant_access IS
'Lets the role p_member, which needs billing_reader to read anything at all, see tenant p_tenant_id; false: it did already. The
role has to exist. Raises UB002, UB011, UB012.';
