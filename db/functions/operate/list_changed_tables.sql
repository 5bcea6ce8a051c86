-- operate: metered tables that are no longer what they were metered as.
CREATE OR REPLACE FUNCTION billing.list_changed_tables()
RETURNS TABLE (source_table text, problem text)
LANGUAGE plpgsql
STABLE
-- Who watches need not be allowed to read the application's tables.
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
-- compose_measure_call tells of columns left out.
SET client_min_messages = warning
AS $$
DECLARE
    v_metered billing.metered_tables;
    v_table regclass;
BEGIN
    FOR v_metered IN SELECT * FROM billing.metered_tables AS t ORDER BY t.source_table LOOP
        source_table := v_metered.source_table;
        v_table := to_regclass(billing.qualify_source(source_table));
        CONTINUE WHEN v_table IS NULL;
        BEGIN
            problem := CASE
                WHEN billing.compose_measure_call(v_table, split_part(v_metered.measure_call, '(', 1)::regproc)
                    <> v_metered.measure_call
                THEN 'its columns are no longer those it was metered with'
                WHEN EXISTS (
                    SELECT
                    FROM pg_proc AS p
                    WHERE p.oid = to_regproc(billing.name_trigger_function(source_table))
                        AND strpos(p.prosrc, billing.qualify_source(source_table)) = 0
                ) THEN format('it is called %s by now', billing.qualify_source(source_table))
                ELSE billing.find_metering_problem(v_table, v_metered.measure_call)
            END;
        EXCEPTION
            WHEN SQLSTATE 'UB012' OR syntax_error_or_access_rule_violation THEN
                problem := format('it cannot be metered any more: %s', SQLERRM);
        END;
        IF problem IS NOT NULL THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.list_changed_tables IS
'Each metered table that the application changed so that it is not, or not rightly, billed as it stands; problem says how.';
