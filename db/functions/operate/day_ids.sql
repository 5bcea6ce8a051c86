-- operate: where in a metered table the rows of each day are.
CREATE OR REPLACE FUNCTION billing.day_ids(p_source_table text, p_from date, p_to date)
RETURNS TABLE (day date, first_id bigint, last_id bigint)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_call text := (SELECT t.measure_call FROM billing.metered_tables AS t WHERE t.source_table = p_source_table);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT (m.occurred_at AT TIME ZONE ''UTC'')::date, min(m.source_id), max(m.source_id)
        FROM %s AS r
        CROSS JOIN LATERAL %s AS m
        WHERE m.occurred_at >= $1 AND m.occurred_at < $2
        GROUP BY 1',
        billing.qualify_source(p_source_table), v_call
    ) USING (p_from - 1)::timestamp AT TIME ZONE 'UTC', (p_to + 2)::timestamp AT TIME ZONE 'UTC';
END;
$$;

COMMENT ON FUNCTION billing.day_ids IS
'For each day in UTC from the one before p_from to the one after p_to: the lowest and the highest id of the rows of
p_source_table that occurred then. Reads the table once, as window_ids does.';
