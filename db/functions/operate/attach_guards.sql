-- operate: makes the triggers that keep what is written as it was written.
CREATE OR REPLACE FUNCTION billing.attach_guards(p_table regclass DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
-- All that bills queues behind the lock that this waits for.
SET lock_timeout = '2s'
AS $$
DECLARE
    v_guard record;
    v_mended bigint := 0;
BEGIN
    PERFORM billing.attach_trigger(g.table_name, g.trigger_name, g.definition)
    FROM billing.list_guards() AS g
    WHERE g.definition IS NOT NULL
        AND g.table_name = COALESCE(p_table, g.table_name);
    -- Parents first: their partitions follow. What stands there just so takes no lock.
    FOR v_guard IN
        SELECT g.table_name, g.trigger_name
        FROM billing.list_guards() AS g
        WHERE g.table_name = COALESCE(p_table, g.table_name)
        ORDER BY g.definition IS NULL
    LOOP
        CONTINUE WHEN EXISTS (
            SELECT
            FROM pg_trigger AS t
            WHERE t.tgrelid = v_guard.table_name
                AND t.tgname = v_guard.trigger_name
                AND t.tgenabled = 'A'
        );
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', v_guard.table_name, v_guard.trigger_name);
        v_mended := v_mended + 1;
    END LOOP;
    RETURN v_mended;
END;
$$;

COMMENT ON FUNCTION billing.attach_guards IS
'Makes the triggers of list_guards, of p_table or all, and enables them always; how many were not. Called by migrate and for each new month; by
hand after pg_restore --disable-triggers.';
