-- measure: the application's tables that are billed.

-- Those that are metered keep the measure that the operator chose, and get the new text of their triggers. measure_call
-- names the function with its schema; measure alone would be looked for along another search_path. One that the application
-- changed so that it cannot be metered any more stays as it is, and stops nothing else: list_trigger_gaps names it.
DO $$
DECLARE
    v_metered billing.metered_tables;
    v_detail text;
BEGIN
    FOR v_metered IN
        SELECT * FROM billing.metered_tables AS m WHERE to_regclass(billing.qualify_source(m.source_table)) IS NOT NULL
    LOOP
        BEGIN
            PERFORM billing.meter_table(
                billing.qualify_source(v_metered.source_table)::regclass,
                split_part(v_metered.measure_call, '(', 1)::regproc, v_metered.resource_column
            );
        EXCEPTION
            WHEN SQLSTATE 'UB012' OR undefined_function THEN
                GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
                RAISE WARNING 'table % cannot be metered any more: %', v_metered.source_table, SQLERRM
                    USING DETAIL = v_detail,
                        HINT = 'Mend it and call billing.meter_table, or billing.unmeter_table.';
        END;
    END LOOP;
END;
$$;

-- With the first installation, and the first after an uninstall: by then billing has no trigger on tenants yet (they are
-- made after this file). Later, what is not metered was detached on purpose and stays so. A table of the application's own
-- making that is of another shape is not billed as it stands: messages may be anybody's.
DO $$
DECLARE
    v_table record;
    v_detail text;
BEGIN
    FOR v_table IN
        SELECT t.source_table, t.measure, c.attname AS resource_column
        FROM (
            VALUES
                ('calls', 'billing.measure_call', 'call_sid'),
                ('messages', 'billing.measure_message', 'message_sid')
        ) AS t (source_table, measure, resource_column)
        LEFT JOIN pg_attribute AS c
            ON c.attrelid = to_regclass('public.' || t.source_table)
            AND c.attname = t.resource_column
            AND NOT c.attisdropped
        WHERE NOT EXISTS (
                SELECT FROM pg_trigger WHERE tgrelid = 'public.tenants'::regclass AND tgname = 'billing_tenant_inserted'
            )
            AND NOT EXISTS (SELECT FROM billing.metered_tables AS m WHERE m.source_table = t.source_table)
    LOOP
        BEGIN
            PERFORM billing.meter_table(
                ('public.' || v_table.source_table)::regclass, v_table.measure::regproc, v_table.resource_column
            );
        EXCEPTION
            WHEN SQLSTATE 'UB012' THEN
                GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
                RAISE WARNING 'table % is not metered', v_table.source_table
                    USING DETAIL = v_detail,
                        HINT = 'Attach it with billing.meter_table and a measure function of its own.';
        END;
    END LOOP;
END;
$$;
