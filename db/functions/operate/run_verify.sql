-- operate: verify, and its result remembered.
CREATE OR REPLACE FUNCTION billing.run_verify(p_from date DEFAULT NULL, p_to date DEFAULT NULL)
RETURNS TABLE (check_name text, subject text, detail text)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_started_at timestamptz := clock_timestamp();
    v_found bigint := 0;
BEGIN
    FOR check_name, subject, detail IN SELECT * FROM billing.verify(p_from, p_to) LOOP
        v_found := v_found + 1;
        RETURN NEXT;
    END LOOP;
    -- A standby, or who may only read, verifies as well.
    IF current_setting('transaction_read_only') = 'off' THEN
        PERFORM billing.note_run(
            CASE WHEN p_from IS NULL AND p_to IS NULL THEN 'verify' ELSE 'verify window' END,
            v_started_at, p_from, p_to, v_found
        );
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.run_verify IS
'The rows of verify(p_from, p_to), and an entry in task_runs, which usage_health shows. For schedulers and the command line.';
