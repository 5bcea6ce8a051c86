-- record: what the triggers call; writes down what a statement changed, and never breaks it.
CREATE OR REPLACE FUNCTION billing.record_changes(
    p_source_table text,
    p_first billing.measurement[],
    p_before billing.measurement[] DEFAULT NULL,
    p_now billing.measurement[] DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint;
    v_ids bigint[];
    v_state text;
    v_message text;
    v_context text;
BEGIN
    BEGIN
        IF p_first IS NOT NULL THEN
            PERFORM billing.record_first_charges(p_source_table, p_first);
        END IF;
        IF p_before IS NOT NULL OR p_now IS NOT NULL THEN
            PERFORM billing.record_differences(p_source_table, p_before, p_now);
        END IF;
        RETURN;
    EXCEPTION
        WHEN serialization_failure OR deadlock_detected OR lock_not_available OR data_corrupted OR index_corrupted THEN
            RAISE;
        WHEN OTHERS THEN
            NULL;
    END;

    -- Something was recorded before, or went wrong: all rows once more, by their difference.
    BEGIN
        PERFORM billing.record_differences(p_source_table, p_before, p_first || p_now);
        RETURN;
    EXCEPTION
        WHEN serialization_failure OR deadlock_detected OR lock_not_available OR data_corrupted OR index_corrupted THEN
            RAISE;
        WHEN OTHERS THEN
            NULL;
    END;

    -- One row at a time, so that only those that fail are set aside.
    v_ids := ARRAY(SELECT DISTINCT m.source_id FROM unnest(p_first || p_before || p_now) AS m);
    FOREACH v_id IN ARRAY v_ids LOOP
        BEGIN
            PERFORM billing.record_difference(
                p_source_table, v_id,
                ARRAY(SELECT m FROM unnest(p_first || p_now) AS m WHERE m.source_id IS NOT DISTINCT FROM v_id),
                ARRAY(SELECT m FROM unnest(p_before) AS m WHERE m.source_id IS NOT DISTINCT FROM v_id)
            );
        EXCEPTION
            WHEN serialization_failure OR deadlock_detected OR lock_not_available OR data_corrupted OR index_corrupted THEN
                RAISE;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS
                    v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_context = PG_EXCEPTION_CONTEXT;
                -- Only a snapshot that is too old can meet a record it did not see.
                IF v_state = '23505' AND current_setting('transaction_isolation') <> 'read committed' THEN
                    RAISE serialization_failure USING
                        MESSAGE = 'could not serialize access: this usage was recorded since the transaction began',
                        HINT = 'The transaction might succeed if retried.';
                END IF;
                PERFORM billing.set_aside(
                    p_source_table, v_id, NULL::smallint,
                    (SELECT m.tenant_id FROM unnest(p_first || p_now || p_before) AS m WHERE m.source_id IS NOT DISTINCT FROM v_id LIMIT 1),
                    v_state, v_message, billing.describe_error(v_context)
                );
        END;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.record_changes IS
'Records what the rows of one statement came to be worth. p_first: measurements of rows that deserved nothing before;
p_before and p_now: all that the other rows deserved before (where known) and deserve now. What cannot be recorded goes to
unrated_usage; only serialization failures, deadlocks and corruption are passed on (and cancel and timeout, which
PostgreSQL does not let anyone catch this way), and a lock that was not to be had in time, which the trigger sets aside
at once: no row waits for it again.';
