-- operate: the body of the trigger on a partitioned table.
CREATE OR REPLACE FUNCTION billing.compose_row_trigger(p_source_table text, p_measure_call text)
RETURNS text
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT format($body$
DECLARE
    v_before billing.measurement[];
    v_now billing.measurement[];
BEGIN
    IF TG_OP <> 'INSERT' THEN
        SELECT array_agg(m) INTO v_before FROM (SELECT OLD.*) AS r CROSS JOIN LATERAL %2$s AS m;
    END IF;
    IF TG_OP = 'DELETE' THEN
        -- Still there: the row only moved to another partition. Gone: what is billed stays billed.
        IF v_before IS NOT NULL THEN
            SELECT array_agg(m) INTO v_now FROM %1$s AS r CROSS JOIN LATERAL %2$s AS m WHERE r.id = OLD.id;
            IF FOUND AND EXISTS (SELECT FROM %1$s WHERE id = OLD.id) THEN
                PERFORM billing.record_changes(%3$L, NULL, v_before, v_now);
            END IF;
        END IF;
        RETURN NULL;
    END IF;

    SELECT array_agg(m) INTO v_now FROM (SELECT NEW.*) AS r CROSS JOIN LATERAL %2$s AS m;
    IF TG_OP = 'INSERT' THEN
        IF v_now IS NOT NULL THEN
            PERFORM billing.record_inserted(%3$L, v_now);
        END IF;
    ELSIF v_now IS DISTINCT FROM v_before THEN
        IF v_before IS NULL THEN
            PERFORM billing.record_changes(%3$L, v_now);
        ELSE
            PERFORM billing.record_changes(%3$L, NULL, v_before, v_now);
        END IF;
    END IF;
    RETURN NULL;
END;
$body$, billing.qualify_source(p_source_table), p_measure_call, p_source_table);
$$;

COMMENT ON FUNCTION billing.compose_row_trigger IS
'The text of a row trigger that records what one row of a partitioned table came to be worth, wherever it moves.';
