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
    v_metered billing.metered_tables;
    v_source_id bigint;
    v_record billing.usage_records;
BEGIN
    FOR v_metered IN
        SELECT *
        FROM billing.metered_tables
        WHERE resource_column IS NOT NULL
            -- The application may have dropped its table.
            AND to_regclass(billing.qualify_source(source_table)) IS NOT NULL
        ORDER BY source_table
    LOOP
        FOR v_source_id IN EXECUTE format(
            'SELECT s.id FROM %1$s AS s WHERE %3$s AND s.%2$I::text = $2
            UNION ALL
            SELECT s.id FROM %1$s AS s WHERE %3$s AND s.%2$I IS NULL AND s.id = $3',
            billing.qualify_source(v_metered.source_table), v_metered.resource_column,
            -- Where the table calls its tenant otherwise, the charge below tells whose it is.
            CASE WHEN strpos(v_metered.measure_call, '=> r.tenant_id::') > 0 THEN 's.tenant_id = $1' ELSE '$1 IS NOT NULL' END
        ) USING p_tenant_id, p_resource_id, CASE WHEN p_resource_id ~ '^[0-9]{1,18}$' THEN p_resource_id::bigint END
        LOOP
            -- The lock waits for a statement that is just completing the row.
            EXECUTE format(
                'SELECT FROM %s AS s WHERE s.id = $1 FOR NO KEY UPDATE', billing.qualify_source(v_metered.source_table)
            ) USING v_source_id;
            SELECT o.*
            INTO v_record
            FROM unnest(billing.find_open_charges(v_metered.source_table, v_source_id, NULL)) AS o
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
