-- operate: which role sees which tenant.
CREATE OR REPLACE FUNCTION billing.list_tenant_access()
RETURNS TABLE (member text, tenant_id bigint, granted_by text, granted_at timestamptz, is_reader boolean)
LANGUAGE sql
STABLE
AS $$
    SELECT m.member::text, m.tenant_id, m.granted_by::text, m.granted_at, (
        SELECT pg_has_role(r.oid, b.oid, 'USAGE')
        FROM pg_roles AS r
        INNER JOIN pg_roles AS b ON b.rolname = 'billing_reader'
        WHERE r.rolname = m.member
    )
    FROM billing.tenant_members AS m
    ORDER BY m.member, m.tenant_id;
$$;

COMMENT ON FUNCTION billing.list_tenant_access IS
'What grant_tenant_access gave, and to whom. is_reader: whether the role has the rights of billing_reader, without which it
reads nothing; NULL: there is no such role (any more), and one should take its access back before somebody makes it again.';
