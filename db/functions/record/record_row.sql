-- record: one row of a metered table, for callers who ask directly and want to hear of errors.
CREATE OR REPLACE FUNCTION billing.record_row(p_source_table text, p_source_id bigint)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_result record;
    v_aside billing.unrated_usage;
BEGIN
    BEGIN
        SELECT * INTO v_result FROM billing.record_rows(p_source_table, ARRAY[p_source_id]);
    EXCEPTION
        WHEN unique_violation THEN
            -- Only a snapshot that is too old can meet a record it did not see.
            IF current_setting('transaction_isolation') = 'read committed' THEN
                RAISE;
            END IF;
            RAISE serialization_failure USING
                MESSAGE = 'could not serialize access: this usage was recorded since the transaction began',
                HINT = 'The transaction might succeed if retried.';
    END;
    IF v_result.scanned = 0 THEN
        RAISE EXCEPTION 'no such row'
            USING ERRCODE = 'UB011',
                DETAIL = format('There is no %s with id %s.', p_source_table, p_source_id),
                HINT = 'Record usage after the row is inserted.';
    END IF;

    SELECT *
    INTO v_aside
    FROM billing.unrated_usage
    WHERE source_table = p_source_table
        AND source_id = p_source_id
        AND resolved_at IS NULL
    ORDER BY id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', v_aside.reason
            USING ERRCODE = v_aside.sqlstate,
                DETAIL = format('%s %s of tenant %s: %s.', p_source_table, p_source_id, v_aside.tenant_id, v_aside.context),
                HINT = billing.problem_hint(v_aside.sqlstate);
    END IF;
    RETURN v_result.recorded;
END;
$$;

COMMENT ON FUNCTION billing.record_row IS
'Brings what is recorded for one row to what it deserves; how many records were written. Raises UB011 for a row that is
not there, and what set_aside would have kept: UB001, UB002, UB003.';
