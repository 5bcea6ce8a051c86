-- record: settles what was reserved for usage just recorded.
CREATE OR REPLACE FUNCTION billing.settle_recorded(p_tenant_ids bigint[], p_resource_ids text[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_tenant_id bigint;
BEGIN
    FOR v_tenant_id IN
        SELECT DISTINCT t.tenant_id
        FROM billing.tenant_terms AS t
        WHERE t.tenant_id = ANY (ARRAY(SELECT DISTINCT r.tenant_id FROM unnest(p_tenant_ids) AS r (tenant_id)))
            AND t.looks_closer
    LOOP
        PERFORM billing.settle_reservations(v_tenant_id, ARRAY(
            SELECT r.resource_id
            FROM unnest(p_tenant_ids, p_resource_ids) AS r (tenant_id, resource_id)
            WHERE r.tenant_id = v_tenant_id
        ));
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.settle_recorded IS
'settle_reservations for the tenants among p_tenant_ids whose usage is looked at more closely (tenant_terms.looks_closer);
p_resource_ids has each one''s resource at its place.';
