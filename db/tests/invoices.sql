-- A draft invoice is the plan's fee and the period's usage, each line rounded once, and never with usage missing.
BEGIN;
SELECT plan(49);
\ir fixtures/tenants.sql

CREATE FUNCTION pg_temp.lines(p_invoice_id bigint)
RETURNS TABLE (kind text, channel text, quantity numeric, unit_price numeric, amount numeric)
LANGUAGE sql
AS 'SELECT kind, channel, trim_scale(quantity), trim_scale(unit_price), amount FROM billing.get_invoice_lines(p_invoice_id)';

-- Globex, on the professional plan, in November.
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
VALUES
    (1, 8, 'completed', '2025-10-31 23:59:59+00', 6000), (2, 8, 'completed', '2025-11-01 00:00:00+00', 315),
    (3, 8, 'completed', '2025-11-30 23:59:59+00', 285), (4, 8, 'completed', '2025-12-01 00:00:00+00', 6000),
    (5, 7, 'completed', '2025-11-14 10:00:00+00', 6000);
INSERT INTO messages (id, tenant_id, channel, status, sent_at)
SELECT n, 8, 'sms', 'sent', '2025-11-14 10:00:00+00'
FROM generate_series(1, 3) AS n;

SELECT generate_invoice(8, '2025-11-01') AS november
\gset
SELECT results_eq(
    format('SELECT tenant_id, invoice_number, period_start, period_end, status, currency, subtotal, tax, total_amount FROM get_invoice(%s)', :november),
    $$VALUES (8::bigint, NULL, '2025-11-01'::date, '2025-11-30'::date, 'draft', 'USD', 99.17, 0::numeric, 99.17)$$,
    'a draft has no number yet, and covers the whole period');
SELECT results_eq(
    format('SELECT * FROM pg_temp.lines(%s)', :november),
    $$VALUES ('plan_fee', NULL, 1::numeric, 99::numeric, 99.00), ('usage', 'sms', 3, 0.0075, 0.02), ('usage', 'voice', 10, 0.015, 0.15)$$,
    'it has a line for the plan and one for each resource, of the period''s days only');
SELECT is(generate_invoice(8, '2025-11-01'), :november::bigint, 'the same period again gives the same invoice');
SELECT is(generate_invoice(8, '2025-11-17'), :november::bigint, 'so does any day in it');
SELECT isnt(generate_invoice(8, '2025-10-01'), :november::bigint, 'another period is another invoice');
SELECT isnt(generate_invoice(7, '2025-11-01'), :november::bigint, 'so is another tenant''s');
SELECT results_eq(
    'SELECT period_start FROM get_invoices(8)', $$VALUES ('2025-11-01'::date), ('2025-10-01')$$, 'get_invoices lists a tenant''s, the newest first');
SELECT results_eq('SELECT period_start FROM get_invoices(8, ''draft'', 1)', $$VALUES ('2025-11-01'::date)$$, 'at most as many as asked');
SELECT is_empty('SELECT * FROM get_invoices(8, ''paid'')', 'of the status asked');
SELECT results_eq(
    'SELECT kind, channel, amount FROM pg_temp.lines((SELECT id FROM get_invoices(7)))', $$VALUES ('usage', 'voice', 1.50)$$,
    'a plan without a fee has no line for it');

-- A draft follows the usage.
UPDATE calls SET duration_seconds = 585 WHERE id = 3;
SELECT is(generate_invoice(8, '2025-11-01'), :november::bigint, 'generated again after a correction');
SELECT is((SELECT total_amount FROM get_invoice(:november)), 99.25, 'the draft has the new sum');
UPDATE messages SET status = 'failed';
SELECT is(generate_invoice(8, '2025-11-01'), :november::bigint, 'and after reversals');
SELECT is_empty(format('SELECT * FROM pg_temp.lines(%s) WHERE channel = ''sms''', :november), 'a line that nets to nothing is left out');

-- Prices that change within the period.
UPDATE pricing_rates SET effective_until = '2025-11-15 00:00:00+00' WHERE channel = 'voice' AND card = 0;
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from) VALUES ('voice', 'minute', 0.02, '2025-11-15 00:00:00+00');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (6, 8, 'completed', '2025-11-15 10:00:00+00', 600);
SELECT is(generate_invoice(8, '2025-11-01'), :november::bigint, 'with a price that changed within the period');
SELECT results_eq(
    format('SELECT quantity, unit_price, amount FROM pg_temp.lines(%s) WHERE channel = ''voice''', :november),
    'VALUES (15::numeric, 0.015, 0.23), (10, 0.02, 0.20)',
    'each price has a line of its own');
SELECT is(
    (SELECT subtotal FROM get_invoice(:november)), (SELECT sum(amount) FROM pg_temp.lines(:november)), 'the invoice is the sum of its lines');

-- Rounding, and currencies.
INSERT INTO pricing_plans (id, name, display_name, currency) VALUES (50, 'yen', 'Yen', 'JPY'), (51, 'dinar', 'Dinar', 'BHD');
INSERT INTO tenants (id, company_name, plan_id, currency) VALUES (60, 'Osaka', 50, 'JPY'), (61, 'Manama', 51, 'BHD'), (62, 'Cents', 1, 'USD');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, currency, effective_from)
VALUES (60, 'sms', 'message', 0.5, 'JPY', '2020-01-01'), (61, 'sms', 'message', 0.0005, 'BHD', '2020-01-01'), (62, 'sms', 'message', 0.0049, 'USD', '2020-01-01'),
    (62, 'sms', 'mms', 0.005, 'USD', '2020-01-01');
INSERT INTO messages (id, tenant_id, channel, status, sent_at)
SELECT tenant_id * 1000 + n, tenant_id, 'sms', 'sent', '2025-11-14 10:00:00+00'
FROM unnest('{60, 61, 62}'::bigint[]) AS tenant_id
CROSS JOIN generate_series(1, 101) AS n;
INSERT INTO messages (id, tenant_id, channel, status, sent_at, media_urls) VALUES (99000, 62, 'sms', 'sent', '2025-11-14 10:00:00+00', '["x"]');
SELECT is((SELECT generate_invoice(id, '2025-11-01') IS NULL FROM tenants WHERE id = tenant_id), false, 'tenant ' || tenant_id || ' gets an invoice')
FROM unnest('{60, 61, 62}'::bigint[]) AS tenant_id;
SELECT is((SELECT total_amount::text FROM get_invoices(60)), '51', 'yen have no decimals: 50.5 is 51');
SELECT is((SELECT total_amount::text FROM get_invoices(61)), '0.051', 'dinars have three: 0.0505 is 0.051');
SELECT results_eq(
    'SELECT amount::text FROM pg_temp.lines((SELECT id FROM get_invoices(62))) ORDER BY amount',
    $$VALUES ('0.01'), ('0.49')$$,
    'cents are rounded once, from the exact sum, half away from zero: 101 messages at 0.0049 are 0.49, one at 0.005 is 0.01');
SELECT is(billing.currency_decimals(currency), decimals, format('%s has %s decimals', currency, decimals))
FROM (VALUES ('USD', 2), ('EUR', 2), ('JPY', 0), ('KRW', 0), ('CLP', 0), ('BHD', 3), ('KWD', 3), ('TND', 3), ('HUF', 2), ('CLF', 4)) AS example (currency, decimals);

-- It refuses to leave usage out.
INSERT INTO messages (id, tenant_id, channel, status, sent_at) VALUES (100000, 8, 'fax', 'sent', '2025-11-14 10:00:00+00');
SELECT throws_ok($$SELECT generate_invoice(8, '2025-11-01')$$, 'UB006', NULL, 'with usage that is not rated it is UB006');
SELECT lives_ok($$SELECT generate_invoice(7, '2025-11-01')$$, 'but not for another tenant');
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from) VALUES ('fax', 'message', 0.1, '2020-01-01');
SELECT lives_ok('SELECT retry_unrated()', 'when it is rated');
SELECT lives_ok($$SELECT generate_invoice(8, '2025-11-01')$$, 'the invoice is drawn up');
SELECT is((SELECT amount FROM pg_temp.lines(:november) WHERE channel = 'fax'), 0.10, 'with it');

SELECT lives_ok($$SELECT ensure_partition('2025-10-01'), detach_month('2025-10-01')$$, 'where the records of a month are taken away');
SELECT throws_ok($$SELECT generate_invoice(8, '2025-10-01')$$, 'UB006', NULL, 'its invoice is UB006, and not one without its usage');

-- What it refuses besides.
SELECT throws_ok($$SELECT generate_invoice(999, '2025-11-01')$$, 'UB002', NULL, 'an invoice for an unknown tenant is UB002');
SELECT throws_ok($$SELECT generate_invoice(8, NULL)$$, 'UB012', NULL, 'for no period UB012');
SELECT throws_ok($$SELECT generate_invoice(8, 'infinity')$$, 'UB012', NULL, 'for a day that never comes as well');
SELECT throws_ok($$SELECT * FROM get_invoices(999)$$, 'UB002', NULL, 'the invoices of an unknown tenant are UB002');
SELECT throws_ok($$SELECT * FROM get_invoices(8, 'lost')$$, 'UB012', NULL, 'of an unknown status UB012');
SELECT throws_ok($$SELECT * FROM get_invoices(8, NULL, -1)$$, 'UB012', NULL, 'less than none of them as well');
SELECT is_empty('SELECT * FROM get_invoice(999999)', 'an invoice that is not there is no row');
SELECT throws_ok(
    $$INSERT INTO invoices (tenant_id, period_start, period_end, currency) VALUES (8, '2025-11-30', '2025-12-29', 'USD')$$,
    '23P01', NULL, 'no day of a tenant is on two invoices');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
