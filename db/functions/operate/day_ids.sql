-- operate: where in a metered table the rows of each day are.
CREATE OR REPLACE FUNCTION billing.day_ids(p_source_table text, p_from date, p_to date)
RETURNS TABLE (day date, first_id bigint, last_id bigint)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_source text := billing.qualify_source(p_source_table);
    v_call text := (SELECT t.measure_call FROM billing.metered_tables AS t WHERE t.source_table = p_source_table);
    v_query text := format(
        'SELECT (m.occurred_at AT TIME ZONE ''UTC'')::date, min(m.source_id), max(m.source_id)
        FROM %s AS r
        CROSS JOIN LATERAL %s AS m
        WHERE m.occurred_at >= $1 AND m.occurred_at < $2
            AND ($3 IS NULL OR r.id >= $3) AND ($4 IS NULL OR r.id <= $4)
        GROUP BY 1',
        v_source, v_call
    );
    v_from timestamptz := (p_from - 1)::timestamp AT TIME ZONE 'UTC';
    v_until timestamptz := (p_to + 2)::timestamp AT TIME ZONE 'UTC';
BEGIN
    BEGIN
        RETURN QUERY EXECUTE v_query USING v_from, v_until, NULL::bigint, NULL::bigint;
        RETURN;
    EXCEPTION
        WHEN data_exception OR raise_exception THEN
            NULL;
    END;

    -- Some row cannot be measured, and so may be of any day: all others are found part by part. (What was given out stays given
    -- out, and does no harm.)
    LOOP
        EXECUTE format(
            'SELECT min(b.id), max(b.id)
            FROM (SELECT s.id FROM %s AS s WHERE $1 IS NULL OR s.id > $1 ORDER BY s.id LIMIT 10000) AS b',
            v_source
        ) INTO first_id, last_id USING last_id;
        EXIT WHEN last_id IS NULL;
        BEGIN
            RETURN QUERY EXECUTE v_query USING v_from, v_until, first_id, last_id;
        EXCEPTION
            WHEN data_exception OR raise_exception THEN
                day := NULL;
                RETURN NEXT;
        END;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.day_ids IS
'For each day in UTC from the one before p_from to the one after p_to: the lowest and the highest id of the rows of
p_source_table that occurred then; perhaps in several parts. day NULL: a part in which a row cannot be measured. Reads the table
once, as window_ids does.';
