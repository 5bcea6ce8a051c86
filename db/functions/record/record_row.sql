-- record: one row of a metered table, for callers who ask directly and want to hear of errors.
CREATE OR REPLACE FUNCTION billing.record_row(p_source_table text, p_source_id bigint)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_result record;
    v_aside billing.unrated_usage;
    v_state text;
    v_message text;
    v_context text;
    v_detail text;
    v_hint text;
BEGIN
    BEGIN
        SELECT * INTO v_result FROM billing.record_rows(p_source_table, ARRAY[p_source_id]);
    EXCEPTION
        WHEN serialization_failure OR deadlock_detected OR lock_not_available OR data_corrupted OR index_corrupted THEN
            RAISE;
        WHEN OTHERS THEN
            -- What a row cannot be measured for, its values left out.
            GET STACKED DIAGNOSTICS
                v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_context = PG_EXCEPTION_CONTEXT,
                v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
            -- Only a snapshot that is too old can meet a record it did not see.
            IF v_state = '23505' AND current_setting('transaction_isolation') <> 'read committed' THEN
                RAISE serialization_failure USING
                    MESSAGE = 'could not serialize access: this usage was recorded since the transaction began',
                    HINT = 'The transaction might succeed if retried.';
            END IF;
            RAISE EXCEPTION '%', billing.describe_reason(v_state, v_message, billing.describe_error(v_context))
                USING ERRCODE = v_state,
                    DETAIL = CASE WHEN v_state LIKE 'UB%' THEN v_detail
                        ELSE format('%s %s cannot be measured or recorded.', p_source_table, p_source_id) END,
                    HINT = CASE WHEN v_state LIKE 'UB%' THEN v_hint ELSE 'Mend the row, or its measure function.' END;
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
