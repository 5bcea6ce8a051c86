-- Tiers, packages and allowances price what a whole billing period holds, exactly, at any moment of it.
BEGIN;
SELECT plan(56);
\ir fixtures/tenants.sql

-- The lines of a draft drawn up anew.
CREATE FUNCTION pg_temp.lines(p_tenant_id bigint, p_period_start date)
RETURNS TABLE (kind text, description text, quantity numeric, unit_price numeric, amount numeric)
LANGUAGE plpgsql
AS $$
DECLARE
    v_invoice_id bigint := billing.generate_invoice(p_tenant_id, p_period_start);
BEGIN
    RETURN QUERY
    SELECT l.kind, l.description, trim_scale(l.quantity), trim_scale(l.unit_price), l.amount
    FROM billing.get_invoice_lines(v_invoice_id) AS l;
END;
$$;
CREATE FUNCTION pg_temp.now_costs(p_tenant_id bigint, p_channel text, p_at timestamptz DEFAULT '2025-11-30 12:00:00+00')
RETURNS numeric
LANGUAGE sql
AS 'SELECT total_cost FROM billing.get_current_period_usage(p_tenant_id, p_at) WHERE channel = p_channel';
CREATE FUNCTION pg_temp.call(p_id bigint, p_tenant_id bigint, p_at timestamptz, p_seconds integer)
RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO public.calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)
    VALUES (p_id, p_tenant_id, '+4930123456', 'completed', p_at, p_seconds);
$$;

-- Acme's minutes: the first 10 at 0.02, those above at 0.01 and once 1 dollar.
INSERT INTO pricing_rates (tenant_id, channel, resource_type, charge_model, terms, effective_from)
VALUES (7, 'voice', 'minute', 'graduated',
    '{"tiers": [{"up_to": 10, "unit_price": 0.02}, {"unit_price": "0.01", "flat_fee": 1}]}', '2025-01-01 00:00:00+00');
SELECT is((SELECT unit_price FROM pricing_rates WHERE tenant_id = 7), 0::numeric, 'a price in terms has no unit price');
SELECT pg_temp.call(1, 7, '2025-11-03 10:00:00+00', 540);
SELECT results_eq(
    'SELECT kind::text, trim_scale(quantity), trim_scale(billed_quantity), total_cost::numeric, unit_cost::numeric FROM usage_records WHERE tenant_id = 7',
    $$VALUES ('charge', 9::numeric, 9::numeric, 0::numeric, 0::numeric)$$, 'the record has the quantity, and costs nothing by itself');
SELECT is(pg_temp.now_costs(7, 'voice'), 0.18, 'nine minutes are in the first tier');
SELECT is((SELECT current_usage FROM get_tenant_balance(7, '2025-11-30 12:00:00+00')), 0.18, 'the balance knows');
SELECT results_eq('SELECT total_cost, unit_cost FROM quote_call(7, ''+4930'', 60, ''2025-11-30 12:00:00+00'')',
    'VALUES (0.02, 0.02)', 'the tenth would be as well');
SELECT results_eq('SELECT total_cost FROM quote_call(7, ''+4930'', 120, ''2025-11-30 12:00:00+00'')',
    'VALUES (1.03)', 'a quote that enters the next tier has its fee');
SELECT results_eq('SELECT total_cost FROM quote_call(7, ''+4930'', 120, ''2025-12-01 12:00:00+00'')',
    'VALUES (0.04)', 'in the next period it counts from the start');
SELECT pg_temp.call(2, 7, '2025-11-04 10:00:00+00', 120);
SELECT is(pg_temp.now_costs(7, 'voice'), 1.21, 'eleven minutes: 10 x 0.02, 1 x 0.01, and the fee of the second tier');
SELECT pg_temp.call(3, 7, '2025-11-20 10:00:00+00', 600);
SELECT results_eq(
    'SELECT bucket, trim_scale(total_quantity), total_cost FROM get_usage_history(7, ''2025-11-01'', ''2025-11-30'')',
    $$VALUES ('2025-11-03'::date, 9::numeric, 0.18), ('2025-11-04', 2, 1.03), ('2025-11-20', 10, 0.10)$$,
    'each day costs what it added: f(now) - f(before)');
SELECT results_eq(
    'SELECT bucket, total_cost FROM get_usage_history(7, ''2025-11-04'', ''2025-12-31'', ''month'')',
    $$VALUES ('2025-11-01'::date, 1.13)$$, 'also when asked from the middle of a period');
SELECT is((SELECT sum(total_cost) FROM usage_summaries WHERE tenant_id = 7), 0::numeric, 'the daily sums have the quantity only');
UPDATE calls SET duration_seconds = 60 WHERE id = 1;
SELECT is(pg_temp.now_costs(7, 'voice'), 1.23, 'a correction moves the whole: 13 minutes');
UPDATE calls SET status = 'failed' WHERE id = 2;
SELECT is(pg_temp.now_costs(7, 'voice'), 1.21, 'so does a reversal: 11 minutes');

-- Thirds of a minute are no decimals, and yet three of them are one minute.
INSERT INTO pricing_rates (tenant_id, channel, resource_type, charge_model, terms, effective_from)
VALUES (8, 'voice', 'minute', 'package', '{"package_size": 1, "package_price": 5}', '2025-01-01 00:00:00+00');
SELECT pg_temp.call(10 + n, 8, '2025-11-03 10:00:00+00', 40) FROM generate_series(1, 3) AS n;
SELECT is(pg_temp.now_costs(8, 'voice'), 10::numeric, 'three calls of 40 s are two minutes, two packages and not three');
SELECT pg_temp.call(14, 8, '2025-11-03 11:00:00+00', 1);
SELECT is(pg_temp.now_costs(8, 'voice'), 15::numeric, 'a second more is a third one');

SELECT is(billing.apply_terms('volume', '{"tiers": [{"unit_price": 0.00000000015}]}', billing.in_units('minute', 20), 1),
    0.0000000001, 'a third of a minute that costs exactly half a digit is rounded up');
SELECT is(billing.in_units('minute', 60000), 1000::numeric, 'a thousand minutes are not a little more');
SELECT is(billing.in_units('minute', 0.3), 0.005, 'nor are tenths of a second');

-- Increments may round each call before it counts.
INSERT INTO pricing_rates (tenant_id, channel, resource_type, charge_model, terms, initial_increment, billing_increment, effective_from)
VALUES (9, 'voice', 'minute', 'volume', '{"tiers": [{"up_to": 5, "unit_price": 1}, {"unit_price": 0.5}]}', 60, 60, '2025-01-01 00:00:00+00');
SELECT pg_temp.call(20 + n, 9, '2025-11-03 10:00:00+00', 5) FROM generate_series(1, 6) AS n;
SELECT is(pg_temp.now_costs(9, 'voice'), 3::numeric, 'six calls of 5 s count as six minutes, all at the price of the second tier');

-- A price that changes in mid-period: each prices its own quantity.
UPDATE pricing_rates SET effective_until = '2025-11-15 00:00:00+00' WHERE tenant_id = 7;
INSERT INTO pricing_rates (tenant_id, channel, resource_type, charge_model, terms, effective_from)
VALUES (7, 'voice', 'minute', 'graduated', '{"tiers": [{"up_to": 5, "unit_price": 1}, {"unit_price": 2}]}', '2025-11-15 00:00:00+00');
SELECT pg_temp.call(4, 7, '2025-11-16 10:00:00+00', 360);
SELECT is(pg_temp.now_costs(7, 'voice'), 8.21, 'six minutes at the new price beside eleven at the old one');
SELECT generate_invoice(7, '2025-11-01') AS acme
\gset
SELECT results_eq('SELECT * FROM pg_temp.lines(7, ''2025-11-01'')',
    $$VALUES ('usage', 'Voice Calls - 11 minutes', 11::numeric, NULL::numeric, 1.21), ('usage', 'Voice Calls - 6 minutes', 6, NULL, 7.00)$$,
    'the invoice has a line for each');
SELECT is((SELECT subtotal FROM get_invoice(:acme)), (SELECT current_usage FROM get_tenant_balance(7, '2025-11-30 12:00:00+00')),
    'and their sum is what the balance said');

-- What costs something without any usage.
INSERT INTO tenants (id, company_name, plan_id) VALUES (20, 'Quiet', 1), (21, 'Quieter', 2);
INSERT INTO pricing_rates (tenant_id, channel, resource_type, charge_model, terms, effective_from)
VALUES (20, 'sms', 'message', 'volume', '{"tiers": [{"up_to": 100, "unit_price": 2, "flat_fee": 10}, {"unit_price": 1}]}', '2025-01-01 00:00:00+00');
SELECT is(pg_temp.now_costs(20, 'sms'), 10::numeric, 'the first tier''s fee is owed at 0');
SELECT results_eq('SELECT kind, amount FROM pg_temp.lines(20, ''2025-11-01'')',
    $$VALUES ('usage', 10.00)$$, 'on the invoice too');
SELECT is((SELECT current_usage FROM get_tenant_balance(20, '2025-11-14')), 10::numeric, 'and in the balance');
SELECT is_empty('SELECT * FROM get_current_period_usage(21, ''2025-11-14'')', 'nobody else owes it');
INSERT INTO pricing_rates (plan_id, channel, resource_type, charge_model, terms, effective_from)
VALUES (2, 'sms', 'message', 'graduated', '{"tiers": [{"unit_price": 2, "flat_fee": 3}]}', '2025-01-01 00:00:00+00');
SELECT is(pg_temp.now_costs(21, 'sms'), 3::numeric, 'a fee on a plan''s card is owed by the tenants of the plan');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from) VALUES (21, 'sms', 'message', 0.01, '2025-01-01 00:00:00+00');
SELECT is_empty('SELECT * FROM get_current_period_usage(21, ''2025-11-14'')', 'but not by one with a price of its own');

-- Money by percentage, with events.
INSERT INTO pricing_rates (channel, resource_type, charge_model, terms, effective_from)
VALUES ('payments', 'amount', 'percentage', '{"rate": 2.9, "fixed_fee": 0.3}', '2025-01-01 00:00:00+00');
SELECT record_usage(20, 'payments', 'amount', 'p' || n, 100, '{}', '2025-11-05') FROM generate_series(1, 3) AS n;
SELECT is(pg_temp.now_costs(20, 'payments'), 9.6, 'three payments of 100: 2.9 % and three times 0.30');
SELECT is((SELECT total_cost FROM quote(20, 'payments', 'amount', 10, NULL, '2025-11-05')), 0.59, 'a fourth of 10 would add 0.29 and 0.30');

-- What a plan includes, and its limits of spend.
INSERT INTO tenants (id, company_name, plan_id) VALUES (30, 'Included', 2);
INSERT INTO plan_allowances (plan_id, channel, resource_type, effective_from, quantity, unit_value)
VALUES (2, 'voice', 'minute', '2025-01-01', 100, 0.015), (2, 'email', 'message', '2025-01-01', 10, 0.001),
    (2, 'voice', 'minute', '2025-12-01', 50, 0.015);
SELECT pg_temp.call(31, 30, '2025-11-03 10:00:00+00', 3000);
SELECT is((SELECT current_usage FROM get_tenant_balance(30, '2025-11-14')), 3::numeric, 'fifty minutes of a hundred included cost nothing; the fee for messages stays');
SELECT is(pg_temp.now_costs(30, 'voice'), 0.75, 'while the usage shows what it is worth');
SELECT pg_temp.call(32, 30, '2025-11-04 10:00:00+00', 6000);
SELECT is((SELECT current_usage FROM get_tenant_balance(30, '2025-11-14')), 3.75, 'of a hundred and fifty a hundred are included');
SELECT results_eq('SELECT kind, description, amount FROM pg_temp.lines(30, ''2025-11-01'') ORDER BY description',
    $$VALUES ('credit', 'Included: Voice Calls - 100 minutes', -1.50), ('usage', 'SMS - 0 messages', 3.00),
        ('plan_fee', 'Starter Plan, monthly fee', 29.00), ('usage', 'Voice Calls - 150 minutes', 2.25)$$,
    'the invoice shows both');
SELECT pg_temp.call(33, 30, '2025-12-04 10:00:00+00', 6000);
SELECT is((SELECT amount FROM pg_temp.lines(30, '2025-12-01') WHERE kind = 'credit'), -0.75,
    'an allowance that changes holds for the periods that begin later');
INSERT INTO tenants (id, company_name, plan_id) VALUES (31, 'Begins late', 3);
INSERT INTO plan_allowances (plan_id, channel, resource_type, effective_from, quantity, unit_value)
VALUES (3, 'sms', 'message', '2025-11-02', 10, 0.0075);
INSERT INTO messages (tenant_id, channel, direction, status, sent_at)
SELECT 31, 'sms', 'outbound', 'sent', '2025-11-03 10:00:00+00' FROM generate_series(1, 20);
SELECT is((SELECT current_usage FROM get_tenant_balance(31, '2025-11-30')), 0.15,
    'nor does the balance count one that began within the period, before its first usage');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from) VALUES (30, 'voice', 'minute', 0.001, '2026-01-01 00:00:00+00');
UPDATE pricing_rates SET effective_until = '2026-02-01 00:00:00+00' WHERE tenant_id = 30;
SELECT pg_temp.call(34, 30, '2026-01-04 10:00:00+00', 600);
SELECT is((SELECT amount FROM pg_temp.lines(30, '2026-01-01') WHERE kind = 'credit'), -0.01,
    'cheap usage is credited with no more than it costs');

UPDATE pricing_plans SET minimum_spend = 5, maximum_spend = 8 WHERE id = 2;
SELECT is((SELECT current_usage FROM get_tenant_balance(30, '2025-11-14')), 3.75, 'a minimum is not owed before the period is over');
SELECT is((SELECT current_usage FROM get_tenant_balance(30, '2025-12-01')), 5 + 3::numeric, 'then it is');
SELECT results_eq('SELECT description, amount FROM pg_temp.lines(30, ''2025-11-01'') WHERE kind = ''adjustment''',
    $$VALUES ('Minimum spend', 1.25)$$, 'and on the invoice it is a line');
SELECT is((SELECT subtotal FROM get_invoice(generate_invoice(30, '2025-11-01'))), 34.00, 'fee and minimum');
SELECT pg_temp.call(35, 30, '2025-11-05 10:00:00+00', 60000);
SELECT is((SELECT current_usage FROM get_tenant_balance(30, '2025-11-30')), 8::numeric, 'a maximum holds at once');
SELECT results_eq('SELECT description, amount FROM pg_temp.lines(30, ''2025-11-01'') WHERE kind = ''adjustment''',
    $$VALUES ('Maximum spend', -10.75)$$, 'with its line');
SELECT throws_ok('UPDATE pricing_plans SET minimum_spend = 9 WHERE id = 2', '23514', NULL, 'a minimum above the maximum is refused');

-- What a rate refuses at the moment it is stored.
SELECT throws_ok(
    format($$INSERT INTO pricing_rates (tenant_id, channel, resource_type, charge_model, %s, effective_from)
        VALUES (7, 'x', 'minute', %s, '2025-01-01')$$, columns, vals),
    'UB005', NULL, 'refused: ' || vals)
FROM (VALUES
    ('terms', '''graduated'', ''{"tiers": [{"up_to": 10, "unit_price": 1}]}'''),
    ('terms, unit_price', '''package'', ''{"package_size": 1, "package_price": 5}'', 3'),
    ('terms, connection_fee', '''volume'', ''{"tiers": [{"unit_price": 1}]}'', 1'),
    ('terms, unit_price', '''per_unit'', ''{"maximum_charge": -1}'', 1'),
    ('terms, unit_price', '''per_unit'', ''{"increment": 6}'', 1'),
    ('terms, unit_price, minimum_charge', '''per_unit'', ''{"maximum_charge": 1}'', 1, 2'),
    ('unit_price, effective_until', '''per_unit'', 1, ''infinity'''),
    ('unit_price, currency', '''per_unit'', 1, ''usd'''),
    ('unit_price, currency', '''per_unit'', 1, NULL')
) AS bad (columns, vals);

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT maintain();
SELECT is(pg_temp.now_costs(7, 'voice'), 8.21, 'merging the sums changes nothing');
SELECT is_empty('SELECT * FROM verify()', 'and every promise still holds');
SELECT * FROM finish();
ROLLBACK;
