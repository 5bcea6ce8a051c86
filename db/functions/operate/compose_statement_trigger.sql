-- operate: the body of the trigger on an ordinary table.
CREATE OR REPLACE FUNCTION billing.compose_statement_trigger(p_source_table text, p_measure_call text)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT format($body$
DECLARE
    v_any_now boolean;
    v_any_before boolean := false;
    v_count bigint;
    v_first billing.measurement[];
    v_before billing.measurement[];
    v_now billing.measurement[];
    v_ids bigint[];
    v_state text;
    v_message text;
    v_context text;
BEGIN
    BEGIN
        -- Written m.*, for m may be a column of the table.
        -- Most statements touch rows that are worth nothing, before and after: they pay for this look only.
        IF TG_OP = 'UPDATE' THEN
            SELECT
                EXISTS (SELECT FROM new_rows AS r CROSS JOIN LATERAL %2$s AS m),
                EXISTS (SELECT FROM old_rows AS r CROSS JOIN LATERAL %2$s AS m)
            INTO v_any_now, v_any_before;
        ELSE
            SELECT EXISTS (SELECT FROM new_rows AS r CROSS JOIN LATERAL %2$s AS m) INTO v_any_now;
            v_any_before := v_any_now AND billing.is_recorded(%1$L, ARRAY(SELECT r.id FROM new_rows AS r));
        END IF;
        IF NOT v_any_now AND NOT v_any_before THEN
            RETURN NULL;
        END IF;

        -- The usual case: rows that come to be worth something. A few one by one, the rest of many at once.
        IF NOT v_any_before
            AND current_setting('billing.is_nested', true) IS DISTINCT FROM 'on'
            AND pg_trigger_depth() = 1
            AND TG_TABLE_NAME = %5$L AND TG_TABLE_SCHEMA = %4$L
        THEN
            PERFORM billing.record_first_charge(
                %1$L, m.source_id, m.part, m.tenant_id, m.channel, m.resource_type, m.resource_id, m.quantity,
                m.destination, m.occurred_at
            )
            FROM new_rows AS r
            CROSS JOIN LATERAL %2$s AS m
            LIMIT 8;
            GET DIAGNOSTICS v_count = ROW_COUNT;
            IF v_count = 8 THEN
                SELECT array_agg(rest.measured)
                INTO v_first
                FROM (
                    SELECT (m.*)::billing.measurement AS measured FROM new_rows AS r CROSS JOIN LATERAL %2$s AS m OFFSET 8
                ) AS rest;
                PERFORM billing.record_first_charges(%1$L, v_first);
            END IF;
            RETURN NULL;
        END IF;
    EXCEPTION
        WHEN serialization_failure OR deadlock_detected OR data_corrupted OR index_corrupted THEN
            RAISE;
        WHEN lock_not_available THEN
            GET STACKED DIAGNOSTICS
                v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_context = PG_EXCEPTION_CONTEXT;
        WHEN OTHERS THEN
            -- Something was recorded before, or went wrong: nothing is written yet, and each row is looked at below.
            NULL;
    END;

    BEGIN
        IF TG_TABLE_NAME <> %5$L OR TG_TABLE_SCHEMA <> %4$L THEN
            PERFORM billing.require_own_table(TG_RELID, %3$L);
        END IF;
        -- The application has waited for this lock once.
        IF v_state IS NOT NULL THEN
            RAISE lock_not_available;
        END IF;
        SELECT array_agg(m.*) INTO v_now FROM new_rows AS r CROSS JOIN LATERAL %2$s AS m;
        IF TG_OP = 'UPDATE' THEN
            SELECT array_agg(m.*) INTO v_before FROM old_rows AS r CROSS JOIN LATERAL %2$s AS m;
            IF v_now IS NOT DISTINCT FROM v_before THEN
                RETURN NULL;
            END IF;
        END IF;

        -- A trigger of the application's own changed rows within this statement, and what they came to be worth then is
        -- recorded already: the transition tables are out of date, the rows themselves are not.
        IF pg_trigger_depth() > 1 THEN
            PERFORM set_config('billing.is_nested', 'on', true);
        END IF;
        IF current_setting('billing.is_nested', true) = 'on' THEN
            SELECT array_agg(m.*)
            INTO v_now
            FROM %3$s AS r
            CROSS JOIN LATERAL %2$s AS m
            WHERE r.id = ANY (ARRAY(SELECT t.source_id FROM unnest(v_now || v_before) AS t));
            PERFORM billing.record_changes(%1$L, NULL, v_before, v_now);
            RETURN NULL;
        END IF;

        IF TG_OP = 'INSERT' THEN
            PERFORM billing.record_inserted(%1$L, v_now);
            RETURN NULL;
        ELSIF v_before IS NULL THEN
            PERFORM billing.record_changes(%1$L, v_now);
            RETURN NULL;
        END IF;

        -- Some rows were worth something before: take those whose worth differs. A full join is never nested loops,
        -- however many rows there are, and pairs a changed id with nothing on both sides.
        SELECT
            array_agg(n.m) FILTER (WHERE (o.m).source_id IS NULL),
            array_agg(o.m) FILTER (WHERE (o.m).source_id IS NOT NULL)
        INTO v_first, v_before
        FROM (SELECT m FROM unnest(v_now) AS m) AS n
        FULL JOIN (SELECT m FROM unnest(v_before) AS m) AS o
            ON (o.m).source_id = (n.m).source_id
            AND (o.m).part = (n.m).part
        WHERE n.m IS DISTINCT FROM o.m;

        IF v_before IS NULL THEN
            v_now := NULL;
        ELSE
            -- All that these rows deserve now, for what a row deserves is compared as a whole.
            v_now := ARRAY(
                SELECT m
                FROM unnest(v_now) AS m
                WHERE m.source_id = ANY (ARRAY(SELECT b.source_id FROM unnest(v_before) AS b))
            );
        END IF;
        IF v_first IS NOT NULL OR v_before IS NOT NULL THEN
            PERFORM billing.record_changes(%1$L, v_first, v_before, v_now);
        END IF;
    EXCEPTION
        WHEN serialization_failure OR deadlock_detected OR data_corrupted OR index_corrupted OR SQLSTATE 'UB020' THEN
            RAISE;
        WHEN OTHERS THEN
            BEGIN
                IF v_state IS NULL THEN
                    GET STACKED DIAGNOSTICS
                        v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_context = PG_EXCEPTION_CONTEXT;
                END IF;
                v_ids := ARRAY(SELECT id FROM new_rows);
                PERFORM billing.record_or_set_aside(%1$L, v_ids, v_state, v_message, v_context);
                IF TG_OP = 'UPDATE' THEN
                    PERFORM billing.set_renamed_aside(
                        %1$L, ARRAY(SELECT id FROM old_rows EXCEPT SELECT id FROM new_rows), v_state, v_message, v_context
                    );
                END IF;
            EXCEPTION
                WHEN serialization_failure OR deadlock_detected OR data_corrupted OR index_corrupted THEN
                    RAISE;
                WHEN OTHERS THEN
                    -- The last resort: the application's write stands, and the log says what is missing.
                    RAISE WARNING 'usage is neither recorded nor set aside'
                        USING ERRCODE = COALESCE(v_state, SQLSTATE),
                            DETAIL = concat(
                                cardinality(v_ids), ' rows of ', %1$L, ', ids ', (SELECT min(i) FROM unnest(v_ids) AS i),
                                ' to ', (SELECT max(i) FROM unnest(v_ids) AS i), ': ', v_state, ', then ', SQLSTATE, '.'
                            ),
                            HINT = 'Run billing.reconcile for the days on which they occurred.';
            END;
    END;
    RETURN NULL;
END;
$body$, p_source_table, p_measure_call, q.source, (parse_ident(q.source))[1], (parse_ident(q.source))[2])
    FROM billing.qualify_source(p_source_table) AS q (source);
$$;

COMMENT ON FUNCTION billing.compose_statement_trigger IS
'The text of a statement trigger that gathers what the rows of a statement came to be worth and records it, all of it
within its guard: what fails is done row by row and set aside, and where not even that is possible, a WARNING says so.';
