-- record: rows that are worth something from the moment they are inserted.
CREATE OR REPLACE FUNCTION billing.record_inserted(p_source_table text, p_measured billing.measurement[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_known bigint[] := ARRAY(
        SELECT DISTINCT r.source_id
        FROM billing.usage_records AS r
        WHERE r.source_table = p_source_table
            AND r.source_id = ANY (ARRAY(SELECT m.source_id FROM unnest(p_measured) AS m))
    );
BEGIN
    IF cardinality(v_known) = 0 THEN
        PERFORM billing.record_changes(p_source_table, p_measured);
    ELSE
        PERFORM billing.record_changes(
            p_source_table,
            (SELECT array_agg(m) FROM unnest(p_measured) AS m WHERE m.source_id <> ALL (v_known)),
            NULL,
            (SELECT array_agg(m) FROM unnest(p_measured) AS m WHERE m.source_id = ANY (v_known))
        );
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.record_inserted IS
'record_changes for inserted rows: one that was billed before under the same id (archived and restored, or moved between
partitions) is brought to what it deserves now, not billed again.';
