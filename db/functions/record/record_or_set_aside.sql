-- record: after a statement's trigger failed, each of its rows for itself; those that fail again are kept.
CREATE OR REPLACE FUNCTION billing.record_or_set_aside(
    p_source_table text,
    p_source_ids bigint[],
    p_sqlstate text,
    p_message text,
    p_context text
)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint;
    v_state text := p_sqlstate;
    v_message text := p_message;
    v_context text := p_context;
    -- One row has just been tried. Its records must be visible, too, and nobody waits for each row anew.
    v_is_tried boolean := cardinality(p_source_ids) = 1
        OR p_sqlstate = '55P03'
        OR current_setting('transaction_isolation') <> 'read committed';
BEGIN
    FOREACH v_id IN ARRAY p_source_ids LOOP
        IF NOT v_is_tried AND v_id IS NOT NULL THEN
            BEGIN
                PERFORM billing.record_rows(p_source_table, ARRAY[v_id]);
                CONTINUE;
            EXCEPTION
                WHEN serialization_failure OR deadlock_detected OR data_corrupted OR index_corrupted THEN
                    RAISE;
                WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS
                        v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_context = PG_EXCEPTION_CONTEXT;
                    v_is_tried := v_state = '55P03';
            END;
        END IF;
        PERFORM billing.set_aside(
            p_source_table, v_id, NULL::smallint, NULL::bigint, v_state, v_message, billing.describe_error(v_context)
        );
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.record_or_set_aside IS
'What is left to do when recording p_source_ids failed with p_sqlstate: where there are several, record_rows for each, so
that one cannot spoil the others; set_aside for those that fail again.';
