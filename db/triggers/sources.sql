-- measure: the application's tables that are billed.

-- Those that are metered keep the measure that the operator chose, and get the new text of their triggers. measure_call
-- names the function with its schema; measure alone would be looked for along another search_path.
SELECT billing.meter_table(
    billing.qualify_source(source_table)::regclass, split_part(measure_call, '(', 1)::regproc, resource_column
)
FROM billing.metered_tables
WHERE to_regclass(billing.qualify_source(source_table)) IS NOT NULL;

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
