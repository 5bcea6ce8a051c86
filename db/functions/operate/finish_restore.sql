-- operate: attaches a month that came back from a file, when it is what went into it.
CREATE OR REPLACE FUNCTION billing.finish_restore(p_month date)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_archive billing.archives;
    v_found jsonb := billing.summarize_month(p_month);
BEGIN
    SELECT *
    INTO STRICT v_archive
    FROM billing.archives AS a
    WHERE a.month = billing.month_of(p_month)
        AND a.restored_at IS NULL;
    IF (v_found -> 'rows', v_found -> 'sums') IS DISTINCT FROM (v_archive.manifest -> 'rows', v_archive.manifest -> 'sums') THEN
        RAISE EXCEPTION 'the records are not those that were archived'
            USING ERRCODE = 'UB019',
                DETAIL = format('Archived were %s records, %s; these are %s, %s.', v_archive.manifest ->> 'rows',
                    v_archive.manifest ->> 'sums', v_found ->> 'rows', v_found ->> 'sums'),
                HINT = 'Nothing was changed. Look for another copy of the file.';
    END IF;
    -- What was forgotten since is no figure.
    PERFORM billing.forget_again(format('billing.%I', d.table_name)::regclass)
    FROM billing.detached_months AS d
    WHERE d.month = v_archive.month;
    PERFORM billing.index_month_table(d.table_name) FROM billing.detached_months AS d WHERE d.month = v_archive.month;
    PERFORM billing.attach_patiently(v_archive.month);
    UPDATE billing.archives AS a
    SET restored_at = clock_timestamp()
    WHERE a.month = v_archive.month
        AND a.sha256 = v_archive.sha256;
    PERFORM billing.drop_erased_subjects();
END;
$$;

COMMENT ON FUNCTION billing.finish_restore IS
'After begin_restore and the loading of its table: compares rows and exact sums with what was archived, takes out again whom
forget_subject has taken out since (forget_again), makes the indexes and attaches the month. Raises UB019.';
