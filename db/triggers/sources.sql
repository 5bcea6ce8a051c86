-- measure: the application's tables that are billed.

-- Those that are metered keep the measure that the operator chose, and get the new text of their triggers. measure_call
-- names the function with its schema; measure alone would be looked for along another search_path.
SELECT billing.meter_table(
    billing.qualify_source(source_table)::regclass, split_part(measure_call, '(', 1)::regproc, resource_column
)
FROM billing.metered_tables
WHERE to_regclass(billing.qualify_source(source_table)) IS NOT NULL;

-- With the first installation, and the first after an uninstall: by then billing has no trigger on tenants yet (they are
-- made after this file). Later, what is not metered was detached on purpose and stays so.
SELECT billing.meter_table(('public.' || t.source_table)::regclass, t.measure::regproc, t.resource_column)
FROM (
    VALUES
        ('calls', 'billing.measure_call', 'call_sid'),
        ('messages', 'billing.measure_message', 'message_sid')
) AS t (source_table, measure, resource_column)
WHERE NOT EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = 'public.tenants'::regclass AND tgname = 'billing_tenant_inserted'
    )
    AND NOT EXISTS (SELECT FROM billing.metered_tables AS m WHERE m.source_table = t.source_table);
