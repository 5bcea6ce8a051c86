-- What was there before billing was is billed by backfill_usage, at the prices of its time, and once.
BEGIN;
SELECT plan(26);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

-- An application that has been running for years, without us.
SELECT lives_ok($$SELECT unmeter_table('public.calls')$$, 'calls that are not metered');
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, direction, initiated_at, duration_seconds)
VALUES
    (1, 7, 'CA1', '+15559876543', 'completed', 'outbound', '2024-06-14 10:00:00+00', 60),
    (2, 7, 'CA2', '+15559876543', 'completed', 'outbound', '2025-06-14 10:00:00+00', 60),
    (3, 7, 'CA3', '+15559876543', 'failed', 'outbound', '2025-06-14 10:00:00+00', 60),
    (4, 7, 'CA4', '+15559876543', 'completed', 'inbound', '2025-06-14 10:00:00+00', 60),
    (5, 999, 'CA5', '+15559876543', 'completed', 'outbound', '2025-06-14 10:00:00+00', 60),
    (6, 7, 'CA6', '+15559876543', 'in-progress', 'outbound', '2025-06-14 10:00:00+00', NULL),
    (7, 9, 'CA7', '+15559876543', 'completed', 'outbound', '2025-05-31 14:59:59+00', 60),
    (8, 9, 'CA8', '+15559876543', 'completed', 'outbound', '2025-05-31 15:00:00+00', 60),
    (9, 9, 'CA9', '+15559876543', 'completed', 'outbound', '2025-06-30 14:59:59+00', 60),
    (10, 9, 'CA10', '+15559876543', 'completed', 'outbound', '2025-06-30 15:00:00+00', 60);
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
SELECT n, 8, 'completed', '2023-03-14 10:00:00+00', 60
FROM generate_series(1001, 12500) AS n;
-- Its prices were others until 2025.
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from, effective_until)
VALUES (7, 'voice', 'minute', 0.03, '2020-01-01 00:00:00+00', '2025-01-01 00:00:00+00');

SELECT lives_ok($$SELECT meter_table('public.calls', 'billing.measure_call', 'call_sid')$$, 'now they are metered');
SELECT is_empty('SELECT * FROM usage_records', 'attaching a table bills nothing of its past');
SELECT is_empty('SELECT * FROM verify()', 'and its past is no violation');
UPDATE calls SET hangup_cause = 'NORMAL_CLEARING' WHERE id = 1;
SELECT is_empty('SELECT * FROM usage_records', 'a change of what is not billed bills nothing of it either');
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = 6;
SELECT is(pg_temp.story('calls', 6), 'charge 0.015', 'a call that completes from now on is billed');

-- June 2025.
SELECT results_eq(
    $$SELECT * FROM backfill_usage('2025-06-01', '2025-06-30') WHERE source_table = 'calls'$$,
    $$VALUES ('calls', 5::bigint, 3::bigint, 1::bigint, 1::bigint)$$,
    'a month is backfilled: what deserves a charge is recorded, unless it is already, or cannot be rated');
SELECT is(pg_temp.story('calls', 2), 'charge 0.015', 'a call of that month is billed');
SELECT results_eq(
    'SELECT source_id, usage_date FROM usage_records WHERE tenant_id = 9 ORDER BY source_id',
    $$VALUES (8::bigint, '2025-06-01'::date), (9, '2025-06-30')$$,
    'the month is that of the tenant''s zone');
SELECT is(pg_temp.waits_for('calls', 5), 'UB002', 'what cannot be rated is set aside');
SELECT results_eq(
    $$SELECT * FROM backfill_usage('2025-06-01', '2025-06-30') WHERE source_table = 'calls'$$,
    $$VALUES ('calls', 5::bigint, 0::bigint, 4::bigint, 1::bigint)$$,
    'backfilling it twice bills it once');

-- The rest.
SELECT is(ensure_partitions('2023-01-01', '2025-12-31'), 36, 'each month gets a partition of its own first');
SELECT results_eq(
    $$SELECT * FROM backfill_usage('2023-01-01', '2025-12-31') WHERE source_table = 'calls'$$,
    $$VALUES ('calls', 11508::bigint, 11503::bigint, 4::bigint, 1::bigint)$$,
    'all of it is backfilled, in as many batches as it takes');
SELECT is(pg_temp.story('calls', 1), 'charge 0.03', 'at the prices of its time');
SELECT is((SELECT tableoid::regclass::text FROM usage_records WHERE source_id = 1), 'usage_records_2024_06', 'in partitions made for it');
SELECT is(
    (SELECT trim_scale(sum(total_cost)) FROM usage_summaries WHERE tenant_id = 8 AND summary_date = '2023-03-14'), 172.5, 'and in the daily sums');
SELECT is(pg_temp.story('calls', 3), NULL, 'what failed is not billed');
SELECT is(pg_temp.story('calls', 4), NULL, 'nor what came in');

-- What got past the triggers.
ALTER TABLE calls DISABLE TRIGGER billing_meter_update;
ALTER TABLE calls DISABLE TRIGGER billing_meter_insert;
UPDATE calls SET duration_seconds = 120 WHERE id = 2;
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (20000, 7, 'completed', '2025-06-14 10:00:00+00', 60);
ALTER TABLE calls ENABLE TRIGGER billing_meter_update;
ALTER TABLE calls ENABLE TRIGGER billing_meter_insert;
SELECT set_eq(
    $$SELECT check_name, subject FROM verify()$$,
    $$VALUES ('usage is rated', 'calls 5'), ('deserved equals recorded', 'calls 2'), ('deserved equals recorded', 'calls 20000')$$,
    'verify() finds what got past the triggers');
SELECT lives_ok($$SELECT * FROM backfill_usage('2025-06-01', '2025-06-30')$$, 'backfilling its days');
SELECT is(pg_temp.story('calls', 2) || ' and ' || pg_temp.story('calls', 20000), 'charge 0.015, reversal -0.015, charge 0.03 and charge 0.015',
    'brings what is recorded to what the rows deserve');

SELECT throws_ok($$SELECT * FROM backfill_usage('2025-06-02', '2025-06-01')$$, 'UB012', NULL, 'a range that ends before it begins is UB012');
SELECT throws_ok($$SELECT * FROM backfill_usage(NULL, '2025-06-01')$$, 'UB012', NULL, 'so is one without a beginning');
SELECT throws_ok($$SELECT * FROM backfill_usage('-infinity', 'infinity')$$, 'UB012', NULL, 'or without an end');

INSERT INTO tenants (id, company_name) VALUES (999, 'Late');
SELECT is((SELECT resolved FROM retry_unrated()), 1::bigint, 'with the tenant there, the last one is settled');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
