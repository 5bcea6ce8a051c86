-- credit: lets go of what was held.
CREATE OR REPLACE FUNCTION billing.release_reservation(p_key text, p_tenant_id bigint DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_tenants bigint[] := ARRAY(
        SELECT r.tenant_id
        FROM billing.reservations AS r
        WHERE r.key = p_key
            AND (p_tenant_id IS NULL OR r.tenant_id = p_tenant_id)
        LIMIT 2
    );
BEGIN
    IF cardinality(v_tenants) = 0 THEN
        RAISE EXCEPTION 'no such reservation'
            USING ERRCODE = 'UB011',
                DETAIL = format('There is none under this key%s.', ' of tenant ' || p_tenant_id),
                HINT = 'A key is the one given to reserve_call or reserve_usage.';
    END IF;
    IF cardinality(v_tenants) > 1 THEN
        RAISE EXCEPTION 'more than one tenant has a reservation under this key'
            USING ERRCODE = 'UB012',
                DETAIL = format('Of tenants %s.', array_to_string(v_tenants, ', ')),
                HINT = 'Name the tenant: release_reservation(p_key, p_tenant_id).';
    END IF;
    RETURN billing.end_reservations(v_tenants[1], ARRAY[p_key], 'released') > 0;
END;
$$;

COMMENT ON FUNCTION billing.release_reservation IS
'Ends the reservation under p_key, that of p_tenant_id where several tenants use the key; whether this call did it: false
where it was settled or released before. Never waits. Raises UB011, UB012.';
