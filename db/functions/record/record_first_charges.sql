-- record: the usual case for many rows at once. record_first_charge is the same for one.
CREATE OR REPLACE FUNCTION billing.record_first_charges(p_source_table text, p_measured billing.measurement[])
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_looks_closer boolean;
    v_written integer;
    v_tenant_ids bigint[];
    v_resource_ids text[];
BEGIN
    IF EXISTS (
        SELECT
        FROM unnest(p_measured) AS m
        INNER JOIN billing.direct_usage AS d
            ON d.tenant_id = m.tenant_id
            AND d.channel = m.channel
            AND d.resource_type = m.resource_type
            AND d.resource_id = m.resource_id
    ) THEN
        RAISE unique_violation USING MESSAGE = 'a resource was recorded by hand';
    END IF;

    v_looks_closer := EXISTS (
        SELECT
        FROM billing.tenant_terms AS t
        WHERE t.looks_closer
            AND t.tenant_id = ANY (ARRAY(SELECT DISTINCT m.tenant_id FROM unnest(p_measured) AS m))
    );
    SELECT w.written, w.tenant_ids, w.resource_ids
    INTO v_written, v_tenant_ids, v_resource_ids
    FROM billing.write_first_charges(p_source_table, p_measured, v_looks_closer) AS w;
    IF v_looks_closer THEN
        PERFORM billing.settle_recorded(v_tenant_ids, v_resource_ids);
    END IF;
    RETURN v_written;
END;
$$;

COMMENT ON FUNCTION billing.record_first_charges IS
'record_first_charge for a set; how many records were written, the others are set aside.';
