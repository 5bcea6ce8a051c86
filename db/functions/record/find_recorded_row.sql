-- record: the charge that stands for the source row of a resource.
CREATE OR REPLACE FUNCTION billing.find_recorded_row(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_resource_id text
)
RETURNS billing.usage_records
LANGUAGE plpgsql
AS $$
DECLARE
    v_keyed record;
    v_source_id bigint;
    v_record billing.usage_records;
BEGIN
    FOR v_keyed IN SELECT * FROM billing.list_keyed_tables() AS k ORDER BY k.source_table LOOP
        FOR v_source_id IN EXECUTE format(
            'SELECT s.id FROM %1$s AS s WHERE %3$s AND s.%2$s::text = $2
            UNION ALL
            SELECT s.id FROM %1$s AS s WHERE %3$s AND s.%2$s IS NULL AND s.id = $3',
            v_keyed.source, v_keyed.resource,
            -- Where the table calls its tenant otherwise, the charge below tells whose it is.
            CASE WHEN v_keyed.has_tenant THEN 's.tenant_id = $1' ELSE '$1 IS NOT NULL' END
        ) USING p_tenant_id, p_resource_id, CASE WHEN p_resource_id ~ '^[0-9]{1,18}$' THEN p_resource_id::bigint END
        LOOP
            -- The lock waits for a statement that is just completing the row.
            EXECUTE format('SELECT FROM %s AS s WHERE s.id = $1 FOR NO KEY UPDATE', v_keyed.source) USING v_source_id;
            SELECT o.*
            INTO v_record
            FROM unnest(billing.find_open_charges(v_keyed.source_table, v_source_id, NULL)) AS o
            WHERE o.tenant_id = p_tenant_id
                AND o.channel = p_channel
                AND o.resource_type = p_resource_type
            LIMIT 1;
            IF FOUND THEN
                RETURN v_record;
            END IF;
        END LOOP;
    END LOOP;
    RETURN NULL;
END;
$$;

COMMENT ON FUNCTION billing.find_recorded_row IS
'The charge that stands for the row whose call_sid, message_sid or like is p_resource_id (its id where it has none);
NULL when there is none.';
