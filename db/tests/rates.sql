-- Which price holds: tenant before plan before default, the longest prefix within, in force when it happened.
BEGIN;
SELECT plan(71);
\ir fixtures/tenants.sql

-- The price that a call of Globex (8, on the professional plan) has.
CREATE FUNCTION pg_temp.price(p_destination text, p_at timestamptz DEFAULT '2025-11-14 10:00:00+00', p_tenant_id bigint DEFAULT 8)
RETURNS numeric
LANGUAGE sql
AS $$
    SELECT unit_cost FROM billing.quote(p_tenant_id, 'voice', 'minute', 1, p_destination, p_at);
$$;

-- What an error says in its DETAIL.
CREATE FUNCTION pg_temp.detail_of(p_statement text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_detail text;
BEGIN
    EXECUTE p_statement;
    RETURN NULL;
EXCEPTION
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
        RETURN v_detail;
END;
$$;

SELECT results_eq(
    $$SELECT channel, resource_type, unit_price::numeric, initial_increment::numeric, billing_increment::numeric,
        connection_fee::numeric, minimum_charge::numeric
      FROM pricing_rates ORDER BY channel, resource_type$$,
    $$VALUES
        ('email', 'message', 0.001, 1::numeric, 1::numeric, 0::numeric, 0::numeric),
        ('sms', 'message', 0.0075, 1, 1, 0, 0),
        ('sms', 'mms', 0.02, 1, 1, 0, 0),
        ('social', 'message', 0.005, 1, 1, 0, 0),
        ('voice', 'minute', 0.015, 1, 1, 0, 0),
        ('whatsapp', 'message', 0.005, 1, 1, 0, 0)$$,
    'the default prices are those of the guide'
);
SELECT results_eq(
    'SELECT name, display_name, monthly_base_fee, included_credits FROM pricing_plans ORDER BY id',
    $$VALUES
        ('free_trial', 'Free Trial', 0::numeric, 50::numeric),
        ('starter', 'Starter Plan', 29, 10),
        ('professional', 'Professional Plan', 99, 50),
        ('enterprise', 'Enterprise Plan', 499, 200)$$,
    'so are the plans'
);
INSERT INTO tenants (id, company_name) VALUES (10, 'Newcomer');
SELECT is((SELECT plan_id FROM tenants WHERE id = 10), (SELECT id FROM pricing_plans WHERE name = 'free_trial'), 'a new tenant gets the free trial');

-- Prefixes.
INSERT INTO pricing_rates (channel, resource_type, prefix, unit_price, effective_from)
VALUES
    ('voice', 'minute', '44', 0.02, '2020-01-01 00:00:00+00'),
    ('voice', 'minute', '447', 0.05, '2020-01-01 00:00:00+00'),
    ('voice', 'minute', '44791', 0.2, '2020-01-01 00:00:00+00'),
    ('voice', 'minute', '9', 0.3, '2020-01-01 00:00:00+00'),
    ('voice', 'minute', '99', 0.4, '2020-01-01 00:00:00+00');
SELECT is(pg_temp.price('+442071838750'), 0.02, 'the longest prefix that matches wins');
SELECT is(pg_temp.price('+447700900123'), 0.05, 'a longer one before a shorter one');
SELECT is(pg_temp.price('447911234567'), 0.2, 'the longest of three, with or without +');
SELECT is(pg_temp.price('+44 (7911) 234-567'), 0.2, 'however the number is written');
SELECT is(pg_temp.price('+43123'), 0.015, 'a number before all prefixes has the price for every destination');
SELECT is(pg_temp.price('+45123'), 0.015, 'so has one after them');
SELECT is(pg_temp.price('+9999'), 0.4, 'prefixes of nines end where they should');
SELECT is(pg_temp.price('sip:bob@example.org'), 0.015, 'what is no number has the price for every destination');
SELECT is(pg_temp.price(NULL), 0.015, 'so has a call without a destination');
SELECT is(pg_temp.price('44'), 0.02, 'a number that is just the prefix matches it');

-- Cards.
INSERT INTO pricing_rates (plan_id, channel, resource_type, prefix, unit_price, effective_from)
VALUES (3, 'voice', 'minute', '44', 0.018, '2020-01-01 00:00:00+00');
SELECT is(pg_temp.price('+447911234567'), 0.018, 'the plan''s card comes before the default, even with a shorter prefix');
SELECT is(pg_temp.price('+33123'), 0.015, 'the default holds where the plan''s card has nothing');
SELECT is(pg_temp.price('+447911234567', p_tenant_id => 7), 0.2, 'another plan''s tenant does not see it');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from)
VALUES (8, 'voice', 'minute', 0.01, '2025-01-01 00:00:00+00');
SELECT is(pg_temp.price('+447911234567'), 0.01, 'the tenant''s own card comes before its plan''s');
SELECT is(pg_temp.price('+447911234567', p_tenant_id => 9), 0.2, 'another tenant does not see it');
SELECT is(pg_temp.price('+447911234567', '2024-12-31 23:59:59.999999+00'), 0.018, 'before it began, the plan''s card held');
SELECT is(pg_temp.price('+447911234567', '2025-01-01 00:00:00+00'), 0.01, 'it holds from its first instant');

-- Time.
UPDATE pricing_rates SET effective_until = '2025-06-01 00:00:00+00' WHERE tenant_id = 8;
SELECT is(pg_temp.price('+33123', '2025-05-31 23:59:59.999999+00'), 0.01, 'a price that is ended holds up to its end');
SELECT is(pg_temp.price('+33123', '2025-06-01 00:00:00+00'), 0.015, 'and not at its end');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from)
VALUES (8, 'voice', 'minute', 0.012, '2025-06-01 00:00:00+00'), (8, 'sms', 'message', 0.001, '2999-01-01 00:00:00+00');
SELECT is(pg_temp.price('+33123', '2025-06-01 00:00:00+00'), 0.012, 'the next price follows without a gap');
SELECT is((SELECT unit_cost FROM quote(8, 'sms', 'message', 1, NULL, '2025-11-14 10:00:00+00')), 0.0075, 'a future price does not hold yet');
SELECT is((SELECT unit_cost FROM quote(8, 'sms', 'message', 1, NULL, '2999-01-01 00:00:00+00')), 0.001, 'it holds when its time has come');
UPDATE pricing_rates SET unit_price = 0.002 WHERE tenant_id = 8 AND channel = 'sms';
SELECT is((SELECT unit_cost FROM quote(8, 'sms', 'message', 1, NULL, '2999-01-01 00:00:00+00')), 0.002, 'a future price may be changed');
DELETE FROM pricing_rates WHERE tenant_id = 8 AND channel = 'sms';
SELECT is((SELECT unit_cost FROM quote(8, 'sms', 'message', 1, NULL, '2999-01-01 00:00:00+00')), 0.0075, 'and taken out');
UPDATE pricing_rates SET is_active = false WHERE tenant_id = 8 AND unit_price = 0.012;
SELECT is(pg_temp.price('+33123'), 0.015, 'a price that is withdrawn does not hold');

-- Currency.
INSERT INTO tenants (id, company_name, currency) VALUES (11, 'Paris Telecom', 'EUR');
SELECT throws_ok($$SELECT pg_temp.price('+33123', p_tenant_id => 11)$$, 'UB001', NULL, 'a price in another currency is no price');
INSERT INTO pricing_rates (channel, resource_type, prefix, unit_price, currency, effective_from)
VALUES ('voice', 'minute', '33', 0.011, 'EUR', '2020-01-01 00:00:00+00');
SELECT is(pg_temp.price('+33123', p_tenant_id => 11), 0.011, 'one in the tenant''s own is');
SELECT is((SELECT currency FROM quote_call(11, '+33123', 60, '2025-11-14 10:00:00+00')), 'EUR', 'and the quote says so');
SELECT throws_ok($$SELECT pg_temp.price('+33123')$$, 'UB001', NULL, 'a shorter prefix does not step in for one in another currency');

-- What a quote refuses.
SELECT throws_ok($$SELECT * FROM quote(8, 'fax', 'page', 1)$$, 'UB001', NULL, 'a quote for what has no price is UB001');
SELECT throws_ok($$SELECT * FROM quote(999, 'sms', 'message', 1)$$, 'UB002', NULL, 'for an unknown tenant UB002');
SELECT throws_ok($$SELECT * FROM quote(8, 'sms', 'message', -1)$$, 'UB003', NULL, 'for less than nothing UB003');
SELECT throws_ok($$SELECT * FROM quote_call(8, '+1555', 'NaN')$$, 'UB003', NULL, 'for NaN UB003');

-- What a card refuses.
SELECT throws_ok(
    $$INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from) VALUES ('voice', 'minute', 0.02, '2025-01-01')$$,
    'UB010', NULL, 'two prices for the same destination and time are UB010');
SELECT throws_ok(
    $$INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from, effective_until)
      VALUES (7, 'voice', 'minute', 0.02, '2025-01-01', '2025-03-01'), (7, 'voice', 'minute', 0.03, '2025-02-01', '2025-04-01')$$,
    'UB010', NULL, 'in one statement as well');
SELECT matches(
    pg_temp.detail_of($$INSERT INTO pricing_rates (id, channel, resource_type, unit_price, effective_from)
        VALUES (4711, 'voice', 'minute', 0.02, '2025-01-01')$$),
    '4711.*' || (SELECT id FROM pricing_rates WHERE channel = 'voice' AND card = 0 AND prefix = ''),
    'and the error names both');
SELECT throws_ok(
    $$UPDATE pricing_rates SET is_active = true WHERE NOT is_active;
      INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from) VALUES (8, 'voice', 'minute', 1, '2025-07-01')$$,
    'UB010', NULL, 'a price that is brought back counts again');
SELECT lives_ok(
    $$INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from, is_active) VALUES ('voice', 'minute', 0.02, '2025-01-01', false)$$,
    'a price that is not active overlaps nothing');
SELECT throws_ok(
    format($$INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from) VALUES (7, 'x', 'y', %s, '2025-01-01')$$, price),
    'UB005', NULL, 'a price of ' || price || ' is UB005')
FROM unnest(ARRAY['-1', '''NaN''', '''Infinity''', 'NULL']) AS price;
SELECT throws_ok(
    format($$INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from, %s) VALUES (7, 'x', 'y', 1, '2025-01-01', %s)$$, name, value),
    'UB005', NULL, format('%s of %s is UB005', name, value))
FROM (VALUES
    ('connection_fee', '-1'), ('minimum_charge', '''NaN'''), ('initial_increment', '-1'), ('billing_increment', '86401'),
    ('prefix', '''+44'''), ('prefix', '''4 4'''), ('effective_until', '''2025-01-01'''), ('effective_until', '''2024-12-31'''),
    ('effective_until', '''20260-01-01'''),
    ('charge_model', '''magic'''), ('terms', '''{"unit_prize": 1}''')
) AS bad (name, value);
SELECT throws_ok(
    $$INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price) VALUES (999, 'voice', 'minute', 1)$$,
    'UB002', NULL, 'a price for an unknown tenant is UB002');
SELECT throws_ok(
    $$INSERT INTO pricing_rates (plan_id, channel, resource_type, unit_price) VALUES (999, 'voice', 'minute', 1)$$,
    'UB002', NULL, 'for an unknown plan as well');
SELECT throws_ok($$UPDATE pricing_rates SET unit_price = 1 WHERE card = 0 AND channel = 'sms'$$, 'UB013', NULL, 'a price that has begun cannot be changed');
SELECT throws_ok($$DELETE FROM pricing_rates WHERE card = 0 AND channel = 'sms'$$, 'UB013', NULL, 'nor taken out');
SELECT throws_ok('TRUNCATE pricing_rates', 'UB014', NULL, 'nor with all the others');
SELECT throws_ok($$UPDATE pricing_rates SET plan_id = 2 WHERE card = 0 AND channel = 'email'$$, 'UB013', NULL, 'nor moved to another card');

INSERT INTO pricing_rates (id, tenant_id, channel, resource_type, unit_price, effective_from) VALUES (4712, 9, 'voice', 'minute', 0.5, '2020-01-01');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (1, 9, 'completed', '2025-11-14 10:00:00+00', 60);
UPDATE pricing_rates SET is_active = false WHERE id = 4712;
SELECT throws_ok('UPDATE pricing_rates SET unit_price = 9 WHERE id = 4712', 'UB013', NULL, 'nor changed after it was withdrawn');
SELECT throws_ok('DELETE FROM pricing_rates WHERE id = 4712', 'UB013', NULL, 'nor taken out then: there are records at that price');

-- The fast way agrees with the rule: 300 prices on three cards, in both currencies, now and then, here and there.
INSERT INTO pricing_rates (tenant_id, plan_id, channel, resource_type, prefix, unit_price, currency, effective_from, effective_until, is_active)
SELECT
    CASE WHEN n % 3 = 0 THEN 8 END, CASE WHEN n % 3 = 1 THEN 3 END, 'test', 'unit',
    -- Digits that are often 9 and often shared; each (card, prefix) has at most two prices, one after the other.
    translate(left(md5((n / 6)::text), 1 + n / 6 % 4), 'abcdef', '999121'),
    n, CASE WHEN n % 11 = 0 THEN 'EUR' ELSE 'USD' END,
    CASE WHEN n / 3 % 2 = 0 THEN '2020-01-01' ELSE '2024-06-01' END::timestamptz,
    CASE WHEN n / 3 % 2 = 0 THEN CASE WHEN n % 5 = 0 THEN '2024-01-01' ELSE '2024-06-01' END::timestamptz END,
    n % 7 <> 0
FROM (
    SELECT DISTINCT ON (n % 3, n / 3 % 2, translate(left(md5((n / 6)::text), 1 + n / 6 % 4), 'abcdef', '999121')) n
    FROM generate_series(0, 599) AS n
) AS distinct_prices;
SELECT cmp_ok((SELECT count(*) FROM pricing_rates WHERE channel = 'test'), '>', 200::bigint, 'there are prices enough to compare');
CREATE TEMPORARY TABLE asked AS
SELECT
    tenant_id, destination, at,
    (billing.price_usage(tenant_id, 'test', 'unit', 1, destination, at)).rate_id AS fast,
    (billing.find_rate(tenant_id, 'test', 'unit', destination, at)).id AS rule
FROM unnest('{7,8,11}'::bigint[]) AS tenant_id
CROSS JOIN unnest('{2019-12-31,2020-01-01,2023-12-31,2024-01-01,2024-05-31,2024-06-01,2025-01-01}'::timestamptz[]) AS at
CROSS JOIN (
    SELECT DISTINCT prefix || tail AS destination
    FROM pricing_rates
    CROSS JOIN unnest(ARRAY['', '0', '5', '9', '99', ':', 'x', '#']) AS tail
    WHERE channel = 'test'
) AS destinations;
SELECT is_empty('SELECT * FROM asked WHERE fast IS DISTINCT FROM rule', 'resolved_prices agrees with find_rate, whatever is asked');
SELECT cmp_ok((SELECT count(DISTINCT rule) FROM asked), '>', 100::bigint, 'and what was asked met many of them');

-- A tenant that changes plan: what happened before is priced as before, also by a card that comes later.
INSERT INTO tenants (id, company_name, plan_id) VALUES (12, 'Upgrader', 2);
INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds) VALUES (12, 12, '1555', 'completed', '2025-11-14 10:00:00+00', 60);
UPDATE tenants SET plan_id = 4 WHERE id = 12;
INSERT INTO pricing_rates (plan_id, channel, resource_type, unit_price, effective_from)
VALUES (2, 'voice', 'minute', 0.007, '2020-01-01'), (4, 'voice', 'minute', 0.004, '2020-01-01');
SELECT is(pg_temp.price('1555', '2025-11-14 10:00:00+00', 12), 0.007, 'usage before a change of plan has the prices of the plan of that time');
SELECT is(pg_temp.price('1555', now() + interval '1 day', 12), 0.004, 'usage after it those of the new plan');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from) VALUES (12, 'voice', 'minute', 0.001, '2020-01-01');
SELECT is(pg_temp.price('1555', '2025-11-14 10:00:00+00', 12), 0.001, 'a card of its own counts for all its time');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
