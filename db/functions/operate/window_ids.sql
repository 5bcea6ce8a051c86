-- operate: where in a metered table the rows of some days are.
CREATE OR REPLACE FUNCTION billing.window_ids(p_source_table text, p_from date, p_to date)
RETURNS TABLE (first_id bigint, last_id bigint)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_metered billing.metered_tables;
    v_source text := billing.qualify_source(p_source_table);
    -- Days are the tenant's; no zone was ever 16 hours from UTC.
    v_from timestamptz := p_from::timestamp AT TIME ZONE 'UTC' - interval '16 hours';
    v_until timestamptz := (p_to + 1)::timestamp AT TIME ZONE 'UTC' + interval '16 hours';
BEGIN
    SELECT * INTO v_metered FROM billing.metered_tables AS t WHERE t.source_table = p_source_table;
    BEGIN
        -- What has no time occurs when it is recorded: now.
        EXECUTE format(
            'SELECT min(m.source_id), max(m.source_id)
            FROM %s AS r
            CROSS JOIN LATERAL %s AS m
            WHERE m.occurred_at >= $1 AND m.occurred_at < $2
                OR m.occurred_at IS NULL AND $3',
            v_source, v_metered.measure_call
        ) INTO first_id, last_id USING v_from, v_until, now() >= v_from AND now() < v_until;
    EXCEPTION
        WHEN data_exception OR raise_exception THEN
            -- A row that cannot be measured may be of any day.
            EXECUTE format('SELECT min(id), max(id) FROM %s', v_source) INTO first_id, last_id;
    END;
    SELECT LEAST(first_id, min(r.source_id)), GREATEST(last_id, max(r.source_id))
    INTO first_id, last_id
    FROM billing.usage_records AS r
    WHERE r.source_table = p_source_table
        AND r.usage_date BETWEEN p_from AND p_to;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.window_ids IS
'The lowest and the highest id of the rows of p_source_table that occurred from p_from to p_to (days in the tenant''s zone,
both included) or have records of those days; a little more where zones differ. NULL: there are none. Reads the table
once, or an index of the application''s on the very expression that the measure takes for the time.';
