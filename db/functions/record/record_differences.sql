-- record: record_difference for each row of a statement.
CREATE OR REPLACE FUNCTION billing.record_differences(
    p_source_table text,
    p_before billing.measurement[],
    p_now billing.measurement[]
)
RETURNS integer
LANGUAGE sql
AS $$
    SELECT COALESCE(sum(billing.record_difference(p_source_table, source_id, now, before)), 0)::integer
    FROM (
        SELECT
            source_id,
            array_agg(m) FILTER (WHERE is_now) AS now,
            -- What is not there deserved nothing: the triggers know.
            COALESCE(array_agg(m) FILTER (WHERE NOT is_now), '{}') AS before
        FROM (
            SELECT m.source_id, m, true AS is_now
            FROM unnest(p_now) AS m
            UNION ALL
            SELECT m.source_id, m, false
            FROM unnest(p_before) AS m
        ) AS measured
        GROUP BY source_id
    ) AS row_by_row;
$$;

COMMENT ON FUNCTION billing.record_differences IS
'record_difference for each row in p_before (what rows deserved) or p_now (all they deserve now); how many records
were written.';
