-- rate: the tenants that the current role may see, as rows.
CREATE OR REPLACE FUNCTION billing.visible_tenants()
RETURNS SETOF bigint
LANGUAGE sql
STABLE
PARALLEL SAFE
-- Resolved when it is made, whatever search_path a caller sets.
BEGIN ATOMIC
    SELECT unnest(billing.visible_tenant_ids());
END;

COMMENT ON FUNCTION billing.visible_tenants IS 'visible_tenant_ids() as rows, for queries.';
