-- operate: whose records a month took with it, table by table, for rows that do not say when they occurred.

ALTER TABLE billing.detached_months ADD COLUMN source_ids jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN billing.detached_months.source_ids IS
'For each metered table from the lowest to the highest source_id of its records, {"calls": [1, 99]}: a row of these without a time of
its own may have been billed then. Key '''': of any table; null: without a bound.';

-- What is still here is asked; of what is in files, or elsewhere, nobody knows.
DO $$
DECLARE
    v_month billing.detached_months;
BEGIN
    FOR v_month IN
        SELECT * FROM billing.detached_months WHERE month NOT IN (SELECT l.month FROM billing.month_loads AS l)
    LOOP
        IF v_month.dropped_at IS NOT NULL OR to_regclass(format('billing.%I', v_month.table_name)) IS NULL THEN
            v_month.source_ids := '{"": [null, null]}';
        ELSE
            EXECUTE format(
                'SELECT COALESCE(jsonb_object_agg(t.source_table, jsonb_build_array(t.lowest, t.highest)), ''{}'')
                FROM (
                    SELECT r.source_table, min(r.source_id) AS lowest, max(r.source_id) AS highest
                    FROM billing.%I AS r
                    WHERE r.source_id IS NOT NULL
                    GROUP BY r.source_table
                ) AS t',
                v_month.table_name
            ) INTO v_month.source_ids;
        END IF;
        UPDATE billing.detached_months
        SET source_ids = v_month.source_ids
        WHERE month = v_month.month;
    END LOOP;
END;
$$;
