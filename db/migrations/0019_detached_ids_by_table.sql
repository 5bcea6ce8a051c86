-- operate: whose records a month took with it, table by table: each counts its ids for itself.

-- squawk-ignore ban-drop-default
ALTER TABLE billing.detached_months ALTER COLUMN source_ids DROP DEFAULT;
-- It has a row for each month that is away.
-- squawk-ignore changing-column-type
ALTER TABLE billing.detached_months ALTER COLUMN source_ids TYPE jsonb USING
    CASE WHEN isempty(source_ids) THEN '{}'::jsonb
        -- Of which table is not known.
        ELSE jsonb_build_object('', jsonb_build_array(lower(source_ids), upper(source_ids))) END;
ALTER TABLE billing.detached_months ALTER COLUMN source_ids SET DEFAULT '{}';
COMMENT ON COLUMN billing.detached_months.source_ids IS
'For each metered table from the lowest to the highest source_id of its records, {"calls": [1, 99]}: a row of these without a time of
its own may have been billed then. Key '''': of any table; null: without a bound.';

-- What is still here is asked.
DO $$
DECLARE
    v_month billing.detached_months;
BEGIN
    FOR v_month IN SELECT * FROM billing.detached_months WHERE dropped_at IS NULL AND source_ids <> '{}' LOOP
        EXECUTE format(
            'UPDATE billing.detached_months
            SET source_ids = COALESCE((
                SELECT jsonb_object_agg(t.source_table, jsonb_build_array(t.lowest, t.highest))
                FROM (
                    SELECT r.source_table, min(r.source_id) AS lowest, max(r.source_id) AS highest
                    FROM billing.%I AS r
                    WHERE r.source_id IS NOT NULL
                    GROUP BY r.source_table
                ) AS t
            ), ''{}'')
            WHERE month = $1',
            v_month.table_name
        ) USING v_month.month;
    END LOOP;
END;
$$;
