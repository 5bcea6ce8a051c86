-- record: settles what was reserved for usage just recorded.
CREATE OR REPLACE FUNCTION billing.settle_recorded(p_tenant_ids bigint[], p_resource_ids text[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_recorded record;
BEGIN
    FOR v_recorded IN
        SELECT r.tenant_id, array_agg(r.resource_id) AS resource_ids
        FROM unnest(p_tenant_ids, p_resource_ids) AS r (tenant_id, resource_id)
        WHERE EXISTS (
            SELECT FROM billing.tenant_terms AS t WHERE t.tenant_id = r.tenant_id AND t.looks_closer
        )
        GROUP BY r.tenant_id
    LOOP
        PERFORM billing.settle_reservations(v_recorded.tenant_id, v_recorded.resource_ids);
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.settle_recorded IS
'settle_reservations for the tenants among p_tenant_ids whose usage is looked at more closely; p_resource_ids has each one''s resource at
its place.';
