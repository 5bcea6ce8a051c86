-- record: brings rows that may or may not be recorded already to what they deserve.
CREATE OR REPLACE FUNCTION billing.record_deserved(
    p_source_table text,
    p_source_ids bigint[],
    p_deserved billing.measurement[]
)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_known bigint[];
    v_first billing.measurement[];
    v_written integer := 0;
BEGIN
    -- Rows with any record, with an entry set aside, or with a resource recorded by hand need a closer look; so do those that
    -- may have been billed in a month that is detached.
    v_known := ARRAY(
        SELECT r.source_id
        FROM billing.usage_records AS r
        WHERE r.source_table = p_source_table
            AND r.source_id = ANY (p_source_ids)
        UNION
        SELECT u.source_id
        FROM billing.unrated_usage AS u
        WHERE u.source_table = p_source_table
            AND u.source_id = ANY (p_source_ids)
            AND u.resolved_at IS NULL
        UNION
        SELECT m.source_id
        FROM unnest(p_deserved) AS m
        INNER JOIN billing.direct_usage AS d
            ON d.tenant_id = m.tenant_id
            AND d.channel = m.channel
            AND d.resource_type = m.resource_type
            AND d.resource_id = m.resource_id
        UNION
        SELECT m.source_id
        FROM unnest(p_deserved) AS m
        INNER JOIN billing.find_detached_ids(p_source_table) AS g ON g.ids @> m.source_id::numeric
        WHERE m.occurred_at IS NULL
    );
    SELECT array_agg(m ORDER BY m.source_id)
    INTO v_first
    FROM unnest(p_deserved) AS m
    LEFT JOIN unnest(v_known) AS k (source_id) USING (source_id)
    WHERE k.source_id IS NULL;

    IF v_first IS NOT NULL THEN
        v_written := billing.record_first_charges(p_source_table, v_first);
    END IF;
    RETURN v_written + COALESCE((
        SELECT sum(billing.record_difference(
            p_source_table, k.source_id,
            ARRAY(SELECT m FROM unnest(p_deserved) AS m WHERE m.source_id = k.source_id)
        ))
        FROM unnest(v_known) AS k (source_id)
    ), 0);
END;
$$;

COMMENT ON FUNCTION billing.record_deserved IS
'Brings what is recorded for the rows p_source_ids to p_deserved (all that they deserve); how many records were
written. The caller holds the rows'' locks.';
