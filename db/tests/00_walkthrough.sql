-- One call from row to invoice. Read this first.
BEGIN;
SELECT plan(13);

-- A tenant on the Professional plan, 99 a month.
INSERT INTO tenants (id, company_name, plan_id)
VALUES (7, 'Acme', (SELECT id FROM pricing_plans WHERE name = 'professional'));

-- The application starts a call. It knows nothing of billing.
INSERT INTO calls (id, tenant_id, call_sid, direction, from_number, to_number, status, initiated_at)
VALUES (456, 7, 'CA1234567890', 'outbound', '+15551234567', '+15559876543', 'initiated', '2025-11-14 10:00:00+00');

SELECT is_empty('SELECT * FROM usage_records', 'a call that has only begun costs nothing');

-- It is answered, and ends after 315 seconds.
UPDATE calls SET status = 'in-progress', answered_at = '2025-11-14 10:00:20+00' WHERE id = 456;
UPDATE calls SET status = 'completed', ended_at = '2025-11-14 10:05:35+00', duration_seconds = 315 WHERE id = 456;

SELECT results_eq(
    'SELECT tenant_id, channel, resource_type, resource_id, quantity::numeric, unit_cost::numeric, trim_scale(total_cost), currency, kind::text
     FROM usage_records',
    $$VALUES (7::bigint, 'voice', 'minute', 'CA1234567890', 5.25, 0.015, 0.07875, 'USD', 'charge')$$,
    'when it completes, 315 seconds are 5.25 minutes and cost 0.07875'
);
SELECT results_eq(
    'SELECT occurred_at::timestamptz, usage_date, source_table, source_id FROM usage_records',
    $$VALUES ('2025-11-14 10:00:20+00'::timestamptz, '2025-11-14'::date, 'calls', 456::bigint)$$,
    'the record says when it was answered, on which day, and which row it is for'
);
SELECT is(
    (SELECT unit_price FROM pricing_rates WHERE id = (SELECT rate_id FROM usage_records)), 0.015,
    'and which price'
);

-- The same update once more, as a retried webhook would send it.
UPDATE calls SET status = 'completed', duration_seconds = 315 WHERE id = 456;
SELECT is((SELECT count(*) FROM usage_records), 1::bigint, 'completing the same call twice bills it once');

-- The day, the month and the history know it in the same transaction.
SELECT results_eq(
    'SELECT summary_date, channel, resource_type, total_quantity, total_cost, record_count
     FROM usage_summaries WHERE tenant_id = 7',
    $$VALUES ('2025-11-14'::date, 'voice', 'minute', 5.25, 0.07875, 1::bigint)$$,
    'the day''s summary has it'
);
SELECT results_eq(
    $$SELECT * FROM get_billing_period(7, '2025-11-20 00:00:00+00')$$,
    $$VALUES ('2025-11-01'::date, '2025-11-30'::date)$$,
    'it lies in the billing period of November'
);
SELECT results_eq(
    $$SELECT * FROM get_current_period_usage(7, '2025-11-20 00:00:00+00')$$,
    $$VALUES ('voice', 'minute', 5.25, 0.07875, 1::bigint)$$,
    'the usage of the period has it'
);
SELECT results_eq(
    $$SELECT * FROM get_usage_history(7, '2025-11-01', '2025-11-30', 'month')$$,
    $$VALUES ('2025-11-01'::date, 'voice', 'minute', 5.25, 0.07875, 1::bigint)$$,
    'so has the history'
);
SELECT results_eq(
    $$SELECT credit_balance, included_credits, current_usage, remaining_credits FROM get_tenant_balance(7)$$,
    $$VALUES (0::numeric, 50::numeric, 0.07875, -0.07875)$$,
    'the balance is less by what it cost'
);

-- The month is over.
SELECT generate_invoice(7, '2025-11-01') AS invoice_id
\gset
SELECT results_eq(
    format('SELECT period_start, period_end, status, currency, subtotal, tax, total_amount FROM get_invoice(%s)', :invoice_id),
    $$VALUES ('2025-11-01'::date, '2025-11-30'::date, 'draft', 'USD', 99.08, 0::numeric, 99.08)$$,
    'the invoice asks for the plan''s fee and the call, rounded to cents once'
);
SELECT results_eq(
    format('SELECT kind, channel, description, quantity, unit_price, amount FROM get_invoice_lines(%s)', :invoice_id),
    $$VALUES
        ('plan_fee', NULL, 'Professional Plan, monthly fee', 1::numeric, 99::numeric, 99.00),
        ('usage', 'voice', 'Voice Calls - 5.25 minutes', 5.25, 0.015, 0.08)$$,
    'in two lines that people can read'
);
SELECT is_empty('SELECT * FROM verify()', 'and every promise holds');

SELECT * FROM finish();
ROLLBACK;
