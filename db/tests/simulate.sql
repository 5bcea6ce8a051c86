-- What real usage would have cost on another plan, line by line as its invoice would have been.
BEGIN;
SELECT plan(22);
\ir fixtures/tenants.sql

INSERT INTO pricing_plans (id, name, display_name, monthly_base_fee, minimum_spend) VALUES (20, 'flat', 'Flat', 10, 2);
INSERT INTO pricing_rates (plan_id, channel, resource_type, unit_price, effective_from) VALUES (20, 'voice', 'minute', 0.1, '2020-01-01');
INSERT INTO pricing_rates (plan_id, channel, resource_type, charge_model, terms, effective_from)
VALUES (20, 'sms', 'message', 'graduated', '{"tiers": [{"up_to": 2, "unit_price": 0.5}, {"up_to": null, "unit_price": 0.1}]}', '2020-01-01');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, unit_price, effective_from) VALUES (7, 'voice', 'minute', '44', 0.01, '2020-01-01');
INSERT INTO plan_allowances VALUES (20, 'voice', 'minute', '2020-01-01', 1.5, 0.1);

INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)
VALUES
    (1, 7, '+1555', 'completed', '2025-11-14 10:00:00+00', 120), (2, 7, '+4420', 'completed', '2025-11-30 23:59:59+00', 60),
    (3, 7, '+1555', 'completed', '2025-12-01 00:00:00+00', 60), (4, 7, '+1555', 'completed', '2025-11-15 10:00:00+00', 6000);
UPDATE calls SET status = 'failed' WHERE id = 4;
INSERT INTO messages (id, tenant_id, channel, status, sent_at) SELECT n, 7, 'sms', 'sent', '2025-11-14 10:00:00+00' FROM generate_series(1, 5) AS n;

SELECT results_eq(
    $$SELECT period_start, kind, channel, description, trim_scale(quantity), trim_scale(unit_price), amount, currency FROM simulate_plan(7, 'flat', '2025-11-10', '2025-11-12')$$,
    $$VALUES ('2025-11-01'::date, 'plan_fee', NULL, 'Flat, monthly fee', 1::numeric, 10::numeric, 10.00, 'USD'),
        ('2025-11-01', 'usage', 'sms', 'SMS - 5 messages', 5, NULL, 1.30, 'USD'), ('2025-11-01', 'usage', 'voice', 'Voice Calls - 1 minute', 1, 0.01, 0.01, 'USD'),
        ('2025-11-01', 'usage', 'voice', 'Voice Calls - 2 minutes', 2, 0.1, 0.20, 'USD'),
        ('2025-11-01', 'credit', 'voice', 'Included: Voice Calls - 1.5 minutes', 1.5, 0.1, -0.15, 'USD'),
        ('2025-11-01', 'adjustment', NULL, 'Minimum spend', 1, NULL, 0.64, 'USD')$$,
    'any day of a period gives the whole period: fee, usage by price, what is included, the minimum; a tenant''s own price stays');
SELECT results_eq(
    $$SELECT period_start, sum(amount) FROM simulate_plan(7, 'flat', '2025-11-30', '2025-12-01') GROUP BY period_start ORDER BY period_start$$,
    $$VALUES ('2025-11-01'::date, 12.00), ('2025-12-01', 12.00)$$, 'two days may touch two periods');
SELECT results_eq(
    $$SELECT DISTINCT period_start FROM simulate_plan(9, 'flat', '2025-11-30', '2025-11-30')$$, $$VALUES ('2025-11-01'::date)$$,
    'a tenant without usage still has a fee');
SELECT results_eq(
    $$SELECT kind, amount FROM simulate_plan(9, 'free_trial', '2025-11-30', '2025-11-30')$$, 'SELECT ''''::text, 0::numeric WHERE false',
    'or nothing to pay on a plan without one');
SELECT results_eq(
    $$SELECT tenant_id, sum(amount) FROM simulate_plan(NULL, 'flat', '2025-11-01', '2025-11-30') GROUP BY tenant_id ORDER BY tenant_id$$,
    'VALUES (7::bigint, 12.00), (8, 12.00), (9, 12.00)', 'NULL is every tenant');
SELECT is_empty('SELECT FROM usage_records WHERE rate_id IN (SELECT id FROM pricing_rates WHERE plan_id = 20)', 'and nothing is written');

-- The current plan is the invoice.
SELECT generate_invoice(7, '2025-11-01') AS november
\gset
SELECT results_eq(
    $$SELECT kind, channel, resource_type, description, quantity, unit_price, amount FROM simulate_plan(7, 'free_trial', '2025-11-01', '2025-11-30')$$,
    format('SELECT kind, channel, resource_type, description, quantity, unit_price, amount FROM get_invoice_lines(%s)', :november),
    'simulating the plan that a tenant is on gives its invoice');
UPDATE pricing_plans SET maximum_spend = 0.02 WHERE id = 1;
SELECT generate_invoice(7, '2025-11-01') AS november
\gset
SELECT is((SELECT sum(amount) FROM simulate_plan(7, 'free_trial', '2025-11-01', '2025-11-30')), (SELECT subtotal FROM get_invoice(:november)), 'with its maximum too');
SELECT is((SELECT subtotal FROM get_invoice(:november)), 0.02, 'which counts');

-- Fees of prices that nobody used.
INSERT INTO pricing_rates (plan_id, channel, resource_type, charge_model, terms, effective_from)
VALUES (20, 'fax', 'page', 'graduated', '{"tiers": [{"up_to": null, "unit_price": 0.1, "flat_fee": 3}]}', '2020-01-01');
SELECT is((SELECT amount FROM simulate_plan(8, 'flat', '2025-11-01', '2025-11-30') WHERE channel = 'fax'), 3.00, 'a price with a fee is owed without usage');
SELECT is_empty($$SELECT FROM simulate_plan(8, 'starter', '2025-11-01', '2025-11-30') WHERE channel = 'fax'$$, 'but not on another plan');
UPDATE tenants SET plan_id = 20 WHERE id = 8;
SELECT lives_ok($$SELECT record_usage(8, 'fax', 'page', 'F1', 4, '{}', '2025-11-14')$$, 'with usage');
SELECT is((SELECT amount FROM simulate_plan(8, 'flat', '2025-11-01', '2025-11-30') WHERE channel = 'fax'), 3.40, 'it is owed once');

-- What it refuses.
SELECT throws_ok($$SELECT * FROM simulate_plan(8, 'starter', '2025-11-01', '2025-11-30')$$, 'UB001', NULL, 'usage without a price on the plan is UB001, not free');
SELECT throws_ok($$SELECT * FROM simulate_plan(NULL, 'starter', '2025-11-01', '2025-11-30')$$, 'UB001', NULL, 'among all tenants as well');
SELECT lives_ok($$SELECT * FROM simulate_plan(7, 'starter', '2025-11-01', '2025-11-30')$$, 'though not for another tenant');
SELECT throws_ok($$SELECT * FROM simulate_plan(999, 'starter', '2025-11-01', '2025-11-30')$$, 'UB002', NULL, 'an unknown tenant is UB002');
SELECT throws_ok($$SELECT * FROM simulate_plan(7, 'none', '2025-11-01', '2025-11-30')$$, 'UB002', NULL, 'an unknown plan too');
INSERT INTO pricing_plans (name, display_name, currency) VALUES ('yen', 'Yen', 'JPY');
SELECT throws_ok($$SELECT * FROM simulate_plan(7, 'yen', '2025-11-01', '2025-11-30')$$, 'UB005', NULL, 'a plan in another currency is UB005');
SELECT throws_ok($$SELECT * FROM simulate_plan(7, 'starter', '2025-11-02', '2025-11-01')$$, 'UB012', NULL, 'days in the wrong order are UB012');
INSERT INTO messages (id, tenant_id, channel, status, sent_at) VALUES (100, 7, 'telex', 'sent', '2025-11-14 10:00:00+00');
SELECT throws_ok($$SELECT * FROM simulate_plan(7, 'starter', '2025-11-01', '2025-11-30')$$, 'UB006', NULL, 'usage that is not rated yet is UB006, as for an invoice');
UPDATE unrated_usage SET resolved_at = now();
SELECT ensure_partition('2025-10-01'), detach_month('2025-10-01');
SELECT throws_ok($$SELECT * FROM simulate_plan(7, 'starter', '2025-10-15', '2025-11-30')$$, 'UB006', NULL, 'so are days whose records were taken away');

SELECT * FROM finish();
ROLLBACK;
