-- Which tenants a role may see. The rights and policies that build on it are in db/access, applied by every migrate.

CREATE TABLE billing.tenant_members (
    member name NOT NULL CONSTRAINT tenant_members_member_is_given CHECK (member <> ''),
    tenant_id bigint NOT NULL CONSTRAINT tenant_members_tenant_id_is_positive CHECK (tenant_id > 0),
    granted_by name NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenant_members_pkey PRIMARY KEY (member, tenant_id)
);
COMMENT ON TABLE billing.tenant_members IS
'Which tenants a role sees of what is in billing, once it may read there at all (billing_reader). Written by
grant_tenant_access and revoke_tenant_access.';
COMMENT ON COLUMN billing.tenant_members.member IS 'The role, by name: as current_user has it, not a group it is in.';
COMMENT ON COLUMN billing.tenant_members.tenant_id IS 'tenants.id.';
COMMENT ON COLUMN billing.tenant_members.granted_by IS 'The role that gave it.';
COMMENT ON COLUMN billing.tenant_members.granted_at IS 'When.';
