-- measure: the application's tables that are billed; those attached by hand get the new text of their triggers.
SELECT billing.meter_table('public.calls', 'billing.measure_call', 'call_sid');
SELECT billing.meter_table('public.messages', 'billing.measure_message', 'message_sid');
SELECT billing.meter_table(billing.qualify_source(source_table)::regclass, measure::regproc, resource_column)
FROM billing.metered_tables
WHERE source_table NOT IN ('calls', 'messages')
    AND to_regclass(billing.qualify_source(source_table)) IS NOT NULL;
