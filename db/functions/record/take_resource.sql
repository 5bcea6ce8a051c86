-- record: a resource is about to be charged by its row.
CREATE OR REPLACE FUNCTION billing.take_resource(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_resource_id text
)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM billing.direct_usage AS d
        WHERE d.tenant_id = p_tenant_id
            AND d.channel = p_channel
            AND d.resource_type = p_resource_type
            AND d.resource_id = p_resource_id
    ) THEN
        RAISE unique_violation USING MESSAGE = 'the resource was recorded by hand';
    END IF;
    PERFORM billing.settle_reservations(p_tenant_id, ARRAY[p_resource_id]);
END;
$$;

COMMENT ON FUNCTION billing.take_resource IS
'Settles what was reserved for the resource. Raises unique_violation where it was recorded by hand: record_difference then
finds what is missing. Called only where tenant_terms.looks_closer.';
