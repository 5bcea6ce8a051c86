-- operate: the body of the trigger on a partitioned table.
CREATE OR REPLACE FUNCTION billing.compose_row_trigger(p_source_table text, p_measure_call text)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT format($body$
DECLARE
    v_before billing.measurement[];
    v_now billing.measurement[];
    v_ids bigint[];
    v_state text;
    v_message text;
    v_context text;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        SELECT array_agg(m.*) INTO v_before FROM (SELECT OLD.*) AS r CROSS JOIN LATERAL %2$s AS m;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        SELECT array_agg(m.*) INTO v_now FROM (SELECT NEW.*) AS r CROSS JOIN LATERAL %2$s AS m;
    ELSIF v_before IS NULL OR NOT EXISTS (SELECT FROM %1$s WHERE id = OLD.id) THEN
        -- Deleted: what is billed stays billed.
        RETURN NULL;
    ELSE
        -- Still there: the row only moved to another partition.
        SELECT array_agg(m.*) INTO v_now FROM %1$s AS r CROSS JOIN LATERAL %2$s AS m WHERE r.id = OLD.id;
    END IF;
    IF v_now IS NOT NULL OR v_before IS NOT NULL THEN
        PERFORM billing.require_own_table(TG_RELID, %1$L);
    END IF;

    IF TG_OP = 'INSERT' THEN
        IF v_now IS NOT NULL THEN
            PERFORM billing.record_inserted(%3$L, v_now);
        END IF;
    ELSIF v_before IS NULL AND v_now IS NOT NULL THEN
        PERFORM billing.record_changes(%3$L, v_now);
    ELSIF v_now IS DISTINCT FROM v_before THEN
        PERFORM billing.record_changes(%3$L, NULL, v_before, v_now);
    END IF;
    RETURN NULL;
EXCEPTION
    WHEN serialization_failure OR deadlock_detected OR data_corrupted OR index_corrupted OR SQLSTATE 'UB020' THEN
        RAISE;
    WHEN OTHERS THEN
        BEGIN
            GET STACKED DIAGNOSTICS
                v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_context = PG_EXCEPTION_CONTEXT;
            v_ids := ARRAY[COALESCE(NEW.id, OLD.id)];
            IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM %1$s WHERE id = OLD.id) THEN
                RETURN NULL;
            END IF;
            PERFORM billing.record_or_set_aside(%3$L, v_ids, v_state, v_message, v_context);
            IF TG_OP = 'UPDATE' AND OLD.id <> NEW.id THEN
                PERFORM billing.set_renamed_aside(%3$L, ARRAY[OLD.id], v_state, v_message, v_context);
            END IF;
        EXCEPTION
            WHEN serialization_failure OR deadlock_detected OR data_corrupted OR index_corrupted THEN
                RAISE;
            WHEN OTHERS THEN
                -- The last resort: the application's write stands, and the log says what is missing.
                RAISE WARNING 'usage is neither recorded nor set aside'
                    USING ERRCODE = COALESCE(v_state, SQLSTATE),
                        DETAIL = concat(
                            cardinality(v_ids), ' rows of ', %3$L, ', ids ', (SELECT min(i) FROM unnest(v_ids) AS i),
                            ' to ', (SELECT max(i) FROM unnest(v_ids) AS i), ': ', v_state, ', then ', SQLSTATE, '.'
                        ),
                        HINT = 'Run billing.reconcile for the days on which they occurred.';
        END;
        RETURN NULL;
END;
$body$, billing.qualify_source(p_source_table), p_measure_call, p_source_table);
$$;

COMMENT ON FUNCTION billing.compose_row_trigger IS
'The text of a row trigger that records what one row of a partitioned table came to be worth, wherever it moves,
with the guard of compose_statement_trigger.';
