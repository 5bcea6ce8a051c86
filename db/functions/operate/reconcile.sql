-- operate: the sweep: what got past the triggers is found and repaired.
CREATE OR REPLACE FUNCTION billing.reconcile(p_from date, p_to date)
RETURNS TABLE (source_table text, scanned bigint, repaired bigint, unrated bigint, busy bigint)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_started_at timestamptz := clock_timestamp();
    v_repaired bigint := 0;
BEGIN
    FOR source_table, scanned, repaired, unrated, busy IN
        SELECT s.source_table, s.scanned, s.recorded, s.unrated, s.busy
        FROM billing.sweep_window(p_from, p_to, p_with_history => false, p_wait => false) AS s
    LOOP
        v_repaired := v_repaired + repaired;
        RETURN NEXT;
    END LOOP;
    PERFORM billing.note_run('reconcile', v_started_at, p_from, p_to, v_repaired);
END;
$$;

COMMENT ON FUNCTION billing.reconcile IS
'Brings what is recorded for the rows of all metered tables to what they deserve, for rows that occurred from p_from to
p_to (days in the tenant''s zone, both included) or have records of those days: charges that are missing, rows that changed
or came to deserve nothing while triggers were off. Deleted rows stay billed; rows from before a table was metered are for
backfill_usage. Per table: rows scanned, records written, rows that are set aside, and rows left alone since somebody was
changing them (busy): they are for the next round. A row that is as it should be is neither locked nor written. Twice is
once. Raises UB012.';
