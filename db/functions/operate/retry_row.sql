-- operate: tries one row that was set aside again.
CREATE OR REPLACE FUNCTION billing.retry_row(p_source_table text, p_source_id bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_state text;
    v_message text;
    v_context text;
    v_result record;
BEGIN
    SELECT * INTO v_result FROM billing.record_rows(p_source_table, ARRAY[p_source_id]);
    IF v_result.scanned = 0 AND EXISTS (
        SELECT
        FROM billing.unrated_usage AS u
        WHERE u.source_table = p_source_table
            AND u.source_id = p_source_id
            AND u.resolved_at IS NULL
            AND u.context ? 'is_renamed'
    ) THEN
        PERFORM billing.record_difference(p_source_table, p_source_id, '{}');
    ELSIF v_result.scanned = 0 THEN
        -- Deleted before it could be rated: there is nothing left to rate it by.
        UPDATE billing.unrated_usage
        SET attempts = attempts + 1, last_tried_at = clock_timestamp(), reason = 'the row was deleted before it was rated'
        WHERE source_table = p_source_table
            AND source_id = p_source_id
            AND resolved_at IS NULL;
    END IF;
EXCEPTION
    WHEN serialization_failure OR deadlock_detected OR data_corrupted OR index_corrupted THEN
        RAISE;
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_context = PG_EXCEPTION_CONTEXT;
        UPDATE billing.unrated_usage
        SET attempts = attempts + 1, last_tried_at = clock_timestamp(), sqlstate = v_state,
            reason = billing.describe_reason(v_state, v_message, billing.describe_error(v_context))
        WHERE source_table = p_source_table
            AND source_id = p_source_id
            AND resolved_at IS NULL;
END;
$$;

COMMENT ON FUNCTION billing.retry_row IS
'record_rows for one row of unrated_usage; what fails again counts an attempt and keeps its new reason.
What was billed under an id that its row gave up is taken back.';
