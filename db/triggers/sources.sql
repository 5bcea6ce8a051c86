-- measure: the application's tables that are billed.
SELECT billing.meter_table('public.calls', 'billing.measure_call', 'call_sid');
SELECT billing.meter_table('public.messages', 'billing.measure_message', 'message_sid');
