-- operate: an empty table for a month that comes back from a file.
CREATE OR REPLACE FUNCTION billing.begin_restore(p_sha256 text)
RETURNS TABLE (month date, table_name text, manifest jsonb)
LANGUAGE plpgsql
AS $$
DECLARE
    v_archive billing.archives;
    v_is_out boolean;
BEGIN
    SELECT * INTO v_archive FROM billing.archives AS a WHERE a.sha256 = p_sha256;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this file is not an archive of this database'
            USING ERRCODE = 'UB019',
                DETAIL = 'billing.archives has no file of this SHA-256: it was altered, cut short, or written elsewhere.',
                HINT = 'billing.archives lists the files of this database.';
    END IF;
    -- Whoever restores it at the same time waits here, and finds it restored.
    SELECT d.dropped_at IS NOT NULL INTO v_is_out FROM billing.detached_months AS d WHERE d.month = v_archive.month FOR UPDATE;
    SELECT * INTO v_archive FROM billing.archives AS a WHERE a.month = v_archive.month AND a.sha256 = p_sha256;
    month := v_archive.month;
    manifest := v_archive.manifest;
    IF v_archive.restored_at IS NOT NULL THEN
        IF v_is_out IS NOT TRUE THEN
            -- It is back already.
            RETURN NEXT;
            RETURN;
        END IF;
        RAISE EXCEPTION 'this file is not the last archive of its month'
            USING ERRCODE = 'UB019',
                DETAIL = billing.describe_detached(v_archive.month),
                HINT = 'Restore that file.';
    END IF;
    table_name := billing.create_month_table(v_archive.month);
    UPDATE billing.detached_months AS d SET dropped_at = NULL WHERE d.month = v_archive.month;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.begin_restore IS
'For the file with this SHA-256: its month, its manifest, and an empty table in schema billing for its records (NULL: the
month is back already). finish_restore follows, in the same transaction. Raises UB019.';
