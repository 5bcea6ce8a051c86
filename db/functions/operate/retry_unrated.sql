-- operate: tries again what was set aside.
CREATE OR REPLACE FUNCTION billing.retry_unrated(p_limit integer DEFAULT 1000)
RETURNS TABLE (tried bigint, resolved bigint)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_row record;
    v_is_busy boolean;
BEGIN
    tried := 0;
    resolved := 0;
    FOR v_row IN
        SELECT longest.source_table, longest.source_id
        FROM (
            -- Some more, for those that somebody is changing just now.
            SELECT u.source_table, u.source_id, u.last_tried_at
            FROM billing.unrated_usage AS u
            INNER JOIN billing.metered_tables AS t USING (source_table)
            WHERE u.resolved_at IS NULL
                AND to_regclass(billing.qualify_source(t.source_table)) IS NOT NULL
                -- What waits for its month to be attached again would only keep others from their turn.
                AND NOT EXISTS (
                    SELECT
                    FROM billing.detached_months AS d
                    WHERE u.sqlstate = 'UB006'
                        AND to_char(d.month, 'YYYY-MM-DD') = u.context ->> 'month'
                )
            ORDER BY u.last_tried_at
            LIMIT 5 * GREATEST(p_limit, 0)::bigint
        ) AS longest
        GROUP BY longest.source_table, longest.source_id
        ORDER BY min(longest.last_tried_at)
    LOOP
        EXIT WHEN tried >= p_limit;
        -- Never waiting with rows locked: who changes this row now records it himself, or it is for the next round.
        EXECUTE format(
            'WITH locked AS MATERIALIZED (SELECT s.id FROM %1$s AS s WHERE s.id = $1 FOR NO KEY UPDATE SKIP LOCKED)
            SELECT EXISTS (SELECT FROM %1$s AS s WHERE s.id = $1) AND NOT EXISTS (SELECT FROM locked)',
            billing.qualify_source(v_row.source_table)
        ) INTO v_is_busy USING v_row.source_id;
        CONTINUE WHEN v_is_busy;
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
and the price of that time, those first that were not tried for the longest time. How many rows were tried, and how many are
settled. Rows that somebody is changing just now, and those of a detached month, are left alone.';
