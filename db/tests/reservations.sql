-- A reservation promises what the balance pays for, and holds it until the call is recorded, released, or it expires.
BEGIN;
SELECT plan(39);
\ir fixtures/tenants.sql
-- A plan without included credit, and an account with five dollars.
INSERT INTO pricing_plans (id, name, display_name) VALUES (50, 'prepaid', 'Prepaid');
UPDATE tenants SET plan_id = 50 WHERE id = 7;

SELECT is(reserve_call(7, '+15551234567', 'CA0'), 0, 'without credit a call is refused');
SELECT is_empty('SELECT * FROM reservations', 'and nothing is held');
SELECT grant_credit(7, 5, 'purchase', 'order 1');
SELECT is(reserve_call(7, '+15551234567', 'CA1'), 20000, 'five dollars pay 20,000 seconds at 0.015 a minute');
SELECT is((SELECT granted_seconds FROM reserve_call(7, '+15551234567', 'CA1')), 20000, 'the same key again gives the same grant');
SELECT results_eq(
    'SELECT credit_balance, current_usage, trim_scale(reserved), trim_scale(remaining_credits) FROM get_tenant_balance(7)',
    'VALUES (5::numeric, 0::numeric, 5::numeric, 0::numeric)', 'which is held once');
SELECT is(reserve_call(7, '+15551234567', 'CA2'), 0, 'then nothing is left for another call');
SELECT is(reserve_usage(7, 'sms', 'message', 1, 'SM0', '+15551234567'), 0::numeric, 'nor for a message');
SELECT throws_ok($$SELECT reserve_call(7, '+15551234567', 'CA1', 60)$$, 'UB004', NULL, 'the same key with other terms is UB004');
SELECT throws_ok($$SELECT reserve_call(7, '+4930123', 'CA1')$$, 'UB004', NULL, 'to another number as well');

SELECT is(release_reservation('CA1'), true, 'released');
SELECT is(release_reservation('CA1'), false, 'once');
SELECT throws_ok($$SELECT reserve_call(7, '+15551234567', 'CA1')$$, 'UB015', NULL, 'a key that has ended is UB015');
SELECT throws_ok($$SELECT release_reservation('CA99')$$, 'UB011', NULL, 'a key that is not known is UB011');
SELECT throws_ok($$SELECT release_reservation('CA1', 8)$$, 'UB011', NULL, 'so is another tenant''s');
SELECT is((SELECT reserved FROM get_tenant_balance(7)), 0.0000000000, 'nothing is held any more');

-- The call itself takes the place of its reservation.
SELECT is(reserve_call(7, '+15551234567', 'CA3', 600), 600, 'no more than asked for');
SELECT is((SELECT trim_scale(reserved) FROM get_tenant_balance(7)), 0.15, 'its price is held');
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at, duration_seconds)
VALUES (1, 7, 'CA3', '+15551234567', 'completed', now(), 300), (2, 7, 'CA4', '+15551234567', 'failed', now(), 0);
SELECT results_eq(
    $$SELECT trim_scale(current_usage), trim_scale(reserved), trim_scale(remaining_credits) FROM get_tenant_balance(7)$$,
    'VALUES (0.075, 0::numeric, 4.925)', 'recording the call settles it');
SELECT is((SELECT outcome FROM reservations WHERE key = 'CA3'), 'settled', 'and says so');
UPDATE calls SET duration_seconds = 360 WHERE id = 1;
SELECT is((SELECT trim_scale(remaining_credits) FROM get_tenant_balance(7)), 4.91, 'settling twice is once');
SELECT is(reserve_usage(7, 'sms', 'message', 1, 'SM1', '+15551234567'), 1::numeric, 'a message is reserved');
SELECT record_usage(7, 'sms', 'message', 'SM1', 1);
SELECT results_eq(
    $$SELECT trim_scale(current_usage), trim_scale(reserved) FROM get_tenant_balance(7)$$,
    'VALUES (0.0975, 0::numeric)', 'and settled by record_usage');

-- Expiry.
SELECT is(reserve_call(7, '+15551234567', 'CA5', 600), 600, 'a call that never ends');
SELECT results_eq(
    $$SELECT trim_scale(reserved), trim_scale(remaining_credits) FROM get_tenant_balance(7, now() + interval '21 minutes')$$,
    'VALUES (0::numeric, 4.9025)', 'holds nothing ten minutes after its time');
UPDATE reservations SET expires_at = clock_timestamp() WHERE key = 'CA5';
SELECT is(reserve_call(7, '+15551234567', 'CA6'), 19610, 'what it held is promised anew');

-- Prices.
INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, unit_price, initial_increment, billing_increment, connection_fee, effective_from)
VALUES (8, 'voice', 'minute', '49', 0.60, 60, 60, 0.05, '2020-01-01');
SELECT grant_credit(8, 1.86, 'purchase', 'order 1');
UPDATE tenants SET plan_id = 50 WHERE id = 8;
SELECT is(reserve_call(8, '+4930123', 'CA10'), 180, 'increments and fees count');
SELECT is((SELECT trim_scale(amount) FROM reservations WHERE key = 'CA10'), 1.85, 'and are held');
UPDATE pricing_rates SET is_active = false WHERE plan_id IS NULL AND tenant_id IS NULL AND channel = 'voice';
SELECT throws_ok($$SELECT reserve_call(8, '+1555', 'CA11')$$, 'UB001', NULL, 'an unknown destination is UB001, not free');
SELECT throws_ok($$SELECT reserve_call(999, '+4930123', 'CA12')$$, 'UB002', NULL, 'an unknown tenant UB002');
SELECT throws_ok($$SELECT reserve_call(8, '+4930123', 'CA13', 0)$$, 'UB003', NULL, 'no seconds UB003');
SELECT throws_ok(format($$SELECT reserve_usage(8, 'sms', 'message', %s, 'SM13')$$, quantity), 'UB003', NULL, 'a quantity of ' || quantity || ' is UB003')
FROM unnest(ARRAY['0', '-1', 'NULL', '''NaN''', '''Infinity''']) AS quantity;
SELECT throws_ok($$SELECT reserve_call(8, '+4930123', '')$$, 'UB012', NULL, 'no key UB012');
SELECT throws_ok($$SELECT reserve_usage(8, 'sms', 'message', 1, NULL)$$, 'UB012', NULL, 'for messages as well');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT results_eq(
    'SELECT a.reserved, a.calls FROM credit_accounts AS a WHERE a.tenant_id = 7',
    $$SELECT sum(r.amount), count(*) FILTER (WHERE r.resource_type = 'minute')::integer FROM reservations AS r WHERE r.tenant_id = 7 AND r.is_counted$$,
    'the account is the sum of its reservations');

SELECT * FROM finish();
ROLLBACK;
