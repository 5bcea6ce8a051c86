-- operate: tries again what was set aside.
CREATE OR REPLACE FUNCTION billing.retry_unrated(p_limit integer DEFAULT 1000)
RETURNS TABLE (tried bigint, resolved bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    v_row record;
BEGIN
    tried := 0;
    resolved := 0;
    FOR v_row IN
        SELECT u.source_table, u.source_id
        FROM billing.unrated_usage AS u
        INNER JOIN billing.metered_tables AS t USING (source_table)
        WHERE u.resolved_at IS NULL
        GROUP BY u.source_table, u.source_id
        ORDER BY min(u.last_tried_at)
        LIMIT p_limit
    LOOP
        tried := tried + 1;
        PERFORM billing.retry_row(v_row.source_table, v_row.source_id);
        resolved := resolved + CASE WHEN EXISTS (
            SELECT
            FROM billing.unrated_usage AS u
            WHERE u.source_table = v_row.source_table
                AND u.source_id = v_row.source_id
                AND u.resolved_at IS NULL
        ) THEN 0 ELSE 1 END;
    END LOOP;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.retry_unrated IS
'Records the rows of at most p_limit open entries of unrated_usage as if nothing had happened: at the time they occurred
and the price of that time. How many rows were tried, and how many are settled.';
