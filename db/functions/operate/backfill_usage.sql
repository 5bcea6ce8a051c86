-- operate: bills rows that were there before billing was.
CREATE OR REPLACE FUNCTION billing.backfill_usage(p_from date, p_to date)
RETURNS TABLE (source_table text, scanned bigint, recorded bigint, already_recorded bigint, unrated bigint)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_started_at timestamptz := clock_timestamp();
    v_recorded bigint := 0;
BEGIN
    FOR source_table, scanned, recorded, unrated IN
        SELECT s.source_table, s.deserving, s.recorded, s.unrated
        FROM billing.sweep_window(p_from, p_to, p_with_history => true, p_wait => true) AS s
    LOOP
        already_recorded := GREATEST(scanned - recorded - unrated, 0);
        v_recorded := v_recorded + recorded;
        RETURN NEXT;
    END LOOP;
    PERFORM billing.note_run('backfill', v_started_at, p_from, p_to, v_recorded);
END;
$$;

COMMENT ON FUNCTION billing.backfill_usage IS
'Records what the rows of all metered tables that occurred from p_from to p_to (days in the tenant''s zone, both
included) deserve, at the prices of their time: reconcile, with the rows that were there before a table was metered. Per
table: rows that deserve a charge, records written, rows that had them already, and rows set aside. Twice is once. Days of
a detached month are passed over. Months without a partition go to the default one: ensure_partitions, in a transaction of
its own before, gives them theirs. Raises UB012.';
