-- record: measures rows of a metered table afresh and brings their records to what they deserve.
CREATE OR REPLACE FUNCTION billing.record_rows(p_source_table text, p_source_ids bigint[])
RETURNS TABLE (scanned bigint, deserving bigint, recorded bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    v_metered billing.metered_tables;
    v_ids bigint[];
    v_deserved billing.measurement[];
BEGIN
    SELECT *
    INTO v_metered
    FROM billing.metered_tables AS t
    WHERE t.source_table = p_source_table;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'table is not metered'
            USING ERRCODE = 'UB011',
                DETAIL = format('%L is not in billing.metered_tables.', p_source_table),
                HINT = 'Attach it with billing.meter_table first.';
    END IF;

    -- The lock makes us wait for whoever is changing the row, and him for us: then either sees the other's record.
    EXECUTE format(
        'WITH locked AS MATERIALIZED (
            SELECT * FROM %1$s AS s WHERE s.id = ANY ($1) ORDER BY s.id FOR NO KEY UPDATE
        )
        SELECT
            ARRAY(SELECT id::bigint FROM locked),
            ARRAY(SELECT (m.*)::billing.measurement FROM locked AS r CROSS JOIN LATERAL %2$s AS m)',
        billing.qualify_source(p_source_table), v_metered.measure_call
    )
    INTO v_ids, v_deserved
    USING p_source_ids;

    scanned := cardinality(v_ids);
    deserving := cardinality(ARRAY(SELECT DISTINCT m.source_id FROM unnest(v_deserved) AS m));
    recorded := billing.record_deserved(p_source_table, v_ids, v_deserved);
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.record_rows IS
'For the rows p_source_ids of a metered table: how many there are, how many deserve a charge, and how many records were
written to bring them there. Holds the rows'' locks until the end of the transaction. Raises UB011.';
