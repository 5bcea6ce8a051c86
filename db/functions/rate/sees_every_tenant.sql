-- rate: whether a role sees all tenants.
CREATE OR REPLACE FUNCTION billing.sees_every_tenant(p_role name)
RETURNS boolean
LANGUAGE sql
STABLE
PARALLEL SAFE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT
        FROM pg_catalog.pg_roles AS r
        WHERE pg_has_role(p_role, r.oid, 'USAGE')
            AND (
                r.rolname IN ('billing_writer', 'billing_analyst', 'billing_admin')
                OR r.oid = (SELECT n.nspowner FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'billing')
            )
    );
END;

COMMENT ON FUNCTION billing.sees_every_tenant IS
'Whether p_role has the rights of the owner of billing, billing_writer, billing_analyst or billing_admin: those the policies
show every tenant.';
