-- operate: records a batch of rows, and sets aside those that fail.
CREATE OR REPLACE FUNCTION billing.record_batch(p_source_table text, p_source_ids bigint[])
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_count integer := cardinality(p_source_ids);
    v_state text;
    v_message text;
    v_context text;
BEGIN
    IF v_count > 1000 THEN
        RETURN billing.record_batch(p_source_table, p_source_ids[:v_count / 2])
            + billing.record_batch(p_source_table, p_source_ids[v_count / 2 + 1:]);
    ELSIF v_count > 0 THEN
        RETURN (SELECT recorded FROM billing.record_rows(p_source_table, p_source_ids));
    END IF;
    RETURN 0;
EXCEPTION
    -- What is not the fault of a row: the operator tries again.
    WHEN serialization_failure OR deadlock_detected OR lock_not_available OR data_corrupted OR index_corrupted
        OR insufficient_resources OR operator_intervention OR system_error
    THEN
        RAISE;
    WHEN OTHERS THEN
        IF v_count > 1 THEN
            RETURN billing.record_batch(p_source_table, p_source_ids[:v_count / 2])
                + billing.record_batch(p_source_table, p_source_ids[v_count / 2 + 1:]);
        END IF;
        GET STACKED DIAGNOSTICS
            v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_context = PG_EXCEPTION_CONTEXT;
        PERFORM billing.record_or_set_aside(p_source_table, p_source_ids, v_state, v_message, v_context);
        RETURN 0;
END;
$$;

COMMENT ON FUNCTION billing.record_batch IS
'record_rows for p_source_ids; how many records were written. When that fails, by halves, until only the rows that cannot
be recorded are left, and those are set aside.';
