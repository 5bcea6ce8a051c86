-- A balance as of an instant: entries made by then, usage that occurred by then, reservations that held then.
BEGIN;
SELECT plan(17);
\ir fixtures/tenants.sql
CREATE FUNCTION pg_temp.balance(p_as_of timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', trim_scale(credit_balance), trim_scale(current_usage), trim_scale(reserved), trim_scale(remaining_credits))
    FROM get_tenant_balance(7, p_as_of);
$$;
INSERT INTO credit_entries (tenant_id, amount, kind, reference, created_at, expires_at)
VALUES (7, 10, 'purchase', 'order 1', '2025-11-14 09:00:00+00', NULL), (7, 5, 'grant', 'promise', '2025-11-14 09:00:00+00', '2025-11-14 15:00:00+00');
UPDATE tenants SET credit_balance = 15 WHERE id = 7;
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES
    (1, 7, 'CA1', 'completed', '2025-11-13 12:00:00+00', 4000),
    (2, 7, 'CA2', 'completed', '2025-11-14 12:00:00+00', 4000),
    (3, 7, 'CA3', 'completed', '2025-11-14 18:00:00+00', 4000),
    (4, 7, 'CA4', 'completed', '2025-11-15 00:00:00+00', 4000);
INSERT INTO reservations (tenant_id, key, channel, resource_type, granted, amount, rate_id, created_at, expires_at, outcome, is_counted)
VALUES
    (7, 'released', 'voice', 'minute', 60, 0.5, 1, '2025-11-14 12:30:00+00', '2025-11-14 12:40:00+00', 'released', false),
    (7, 'expired', 'voice', 'minute', 60, 0.25, 1, '2025-11-14 12:35:00+00', '2025-11-14 13:00:00+00', NULL, false),
    (7, 'CA3', 'voice', 'minute', 60, 2, 1, '2025-11-14 17:59:00+00', '2025-11-14 18:10:00+00', 'settled', false);

SELECT is(pg_temp.balance('2025-11-13 11:59:59.999999+00'), '0 0 0 0', 'before everything there is nothing');
SELECT is(pg_temp.balance('2025-11-13 12:00:00+00'), '0 1 0 -1', 'usage counts from the instant at which it occurred');
SELECT is(pg_temp.balance('2025-11-13 23:59:59.999999+00'), '0 1 0 -1', 'to the end of its day');
SELECT is(pg_temp.balance('2025-11-14 08:59:59+00'), '0 1 0 -1', 'and after it');
SELECT is(pg_temp.balance('2025-11-14 09:00:00+00'), '15 1 0 14', 'entries count from the instant at which they were made');
SELECT is(pg_temp.balance('2025-11-14 11:59:59.999999+00'), '15 1 0 14', 'within a day, usage to come does not count');
SELECT is(pg_temp.balance('2025-11-14 12:00:00+00'), '15 2 0 13', 'until it occurs');
SELECT is(pg_temp.balance('2025-11-14 12:30:00+00'), '15 2 0.5 12.5', 'a reservation counts from the instant at which it was made');
SELECT is(pg_temp.balance('2025-11-14 12:36:00+00'), '15 2 0.75 12.25', 'each of them');
SELECT is(pg_temp.balance('2025-11-14 12:40:00+00'), '15 2 0.25 12.75', 'until it was released');
SELECT is(pg_temp.balance('2025-11-14 13:00:00+00'), '15 2 0 13', 'or has expired');
SELECT is(pg_temp.balance('2025-11-14 15:00:00+00'), '12 2 0 10', 'credit lapses at its expiry, less what usage by then needs');
SELECT is(pg_temp.balance('2025-11-14 17:59:30+00'), '12 2 0 10', 'what was settled counts as usage only');
SELECT is(pg_temp.balance('2025-11-14 18:00:00+00'), '12 3 0 9', 'from when that occurred');
SELECT is(pg_temp.balance(now()), '12 4 0 8', 'now everything counts');

-- A price of the whole period, within a day of the past.
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, charge_model, terms, effective_from)
VALUES (9, 'sms', 'message', 0, 'graduated', '{"tiers": [{"up_to": 2, "unit_price": 1}, {"up_to": null, "unit_price": 0.5}]}', '2020-01-01');
SELECT record_usage(9, 'sms', 'message', 'SM' || n, 1, '{}', '2025-11-14 10:00:00+00'::timestamptz + n * interval '1 hour')
FROM generate_series(0, 3) AS n;
SELECT is((SELECT trim_scale(current_usage) FROM get_tenant_balance(9, '2025-11-14 12:00:00+00')), 2.5, 'tiers hold what occurred by then');
SELECT is((SELECT trim_scale(current_usage) FROM get_tenant_balance(9)), 3.0, 'and all of it now');

SELECT * FROM finish();
ROLLBACK;
