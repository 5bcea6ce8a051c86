-- What cannot be rated never breaks the application's write, is seen, and is settled later as if nothing had happened.
BEGIN;
SELECT plan(42);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at)
SELECT n, 7, 'CA' || n, '+15559876543', 'in-progress', '2025-11-14 10:00:00+00'
FROM generate_series(1, 100) AS n;

-- Each of these is an ordinary UPDATE, and each succeeds.
UPDATE calls SET status = 'completed', duration_seconds = 60, tenant_id = 999 WHERE id = 1;
UPDATE calls SET status = 'completed', duration_seconds = 60, tenant_id = NULL WHERE id = 2;
UPDATE calls SET status = 'completed', duration_seconds = 'NaN' WHERE id = 3;
UPDATE calls SET status = 'completed', duration_seconds = 'Infinity' WHERE id = 4;
UPDATE calls SET status = 'completed', duration_seconds = '-Infinity' WHERE id = 5;
UPDATE calls SET status = 'completed', duration_seconds = -60 WHERE id = 6;
UPDATE calls SET status = 'completed', duration_seconds = 2678401 WHERE id = 7;
UPDATE calls SET status = 'completed', duration_seconds = 1e1000 WHERE id = 8;
UPDATE calls SET status = 'completed', duration_seconds = 60, answered_at = 'infinity' WHERE id = 9;
UPDATE calls SET status = 'completed', duration_seconds = 60, answered_at = '294276-12-31 23:59:59+00', tenant_id = 9 WHERE id = 10;
UPDATE calls SET status = 'completed', duration_seconds = NULL WHERE id = 11;
UPDATE calls SET status = 'teleported', duration_seconds = 60 WHERE id = 12;
UPDATE calls SET status = 'completed', duration_seconds = 60, to_number = repeat('x', 100000) WHERE id = 13;
UPDATE calls SET status = 'completed', duration_seconds = 60,
    metadata = (repeat('[', 1000) || repeat(']', 1000))::jsonb WHERE id = 14;
UPDATE calls SET status = 'completed', duration_seconds = 60,
    metadata = jsonb_build_object('note', repeat('x', 3000000)) WHERE id = 15;
UPDATE calls SET status = 'completed', duration_seconds = 2678400 WHERE id = 16;
INSERT INTO messages (id, tenant_id, channel, status, sent_at)
VALUES (1, 7, 'fax', 'sent', '2025-11-14 10:00:00+00'), (2, 7, '', 'sent', '2025-11-14 10:00:00+00'), (3, 7, 'sms', 'sent', '-infinity');

SELECT is((SELECT count(*) FROM calls WHERE status = 'completed'), 15::bigint, 'every write of the application succeeded');
SELECT is(pg_temp.waits_for('calls', id), state, name)
FROM (VALUES
    (1, 'UB002', 'an unknown tenant is set aside as UB002'),
    (2, 'UB002', 'no tenant as well'),
    (3, 'UB003', 'NaN seconds as UB003'),
    (4, 'UB003', 'infinite seconds'),
    (5, 'UB003', 'less than all'),
    (6, 'UB003', 'negative seconds'),
    (7, 'UB003', 'more than 31 days'),
    (8, 'UB003', 'more than all the world''s'),
    (9, 'UB003', 'a time that is not finite'),
    (10, '22008', 'a time that PostgreSQL cannot place in the tenant''s zone, with what it said'),
    (11, NULL, 'seconds that are not known yet are waited for, and not set aside'),
    (12, NULL, 'a status never seen is not billable'),
    (13, NULL, 'a destination that is no number has the price for every destination'),
    (14, NULL, 'deep metadata are none of our business'),
    (15, NULL, 'nor are large ones'),
    (16, NULL, '31 days are believed')
) AS expected (id, state, name);
SELECT is(pg_temp.waits_for('messages', 1), 'UB001', 'a channel without a price is UB001');
SELECT is(pg_temp.waits_for('messages', 2), 'UB001', 'one without a name as well');
SELECT is(pg_temp.waits_for('messages', 3), 'UB003', 'a time that never was is UB003');
SELECT results_eq(
    'SELECT source_id FROM usage_records ORDER BY source_id',
    'VALUES (13::bigint), (14), (15), (16)',
    'nothing of it is billed, and all else is');
SELECT results_eq(
    $$SELECT tenant_id, reason, attempts, context ->> 'channel', context ->> 'quantity' FROM unrated_usage WHERE source_table = 'messages' AND source_id = 1$$,
    $$VALUES (7::bigint, 'no rate in force for this channel, resource, destination and currency', 1, 'fax', '1')$$,
    'an entry says whose it is, why, and what of');
SELECT set_eq(
    'SELECT check_name, subject FROM verify()',
    $$SELECT 'usage is rated' AS check_name, source_table || ' ' || source_id AS subject FROM unrated_usage$$,
    'verify() reports each, and nothing else');

-- In a large statement only the bad rows are set aside.
UPDATE calls SET status = 'completed', duration_seconds = CASE WHEN id % 20 = 0 THEN -1 ELSE 60 END,
    tenant_id = CASE WHEN id % 20 = 1 THEN 999 ELSE 7 END
WHERE id BETWEEN 31 AND 90;
SELECT results_eq(
    $$SELECT count(*) FILTER (WHERE pg_temp.net('calls', n) = 0.015), count(*) FILTER (WHERE pg_temp.waits_for('calls', n) = 'UB003'),
        count(*) FILTER (WHERE pg_temp.waits_for('calls', n) = 'UB002')
      FROM generate_series(31, 90) AS n$$,
    'VALUES (54::bigint, 3::bigint, 3::bigint)',
    'of a statement over many rows only those that cannot be rated are set aside');
UPDATE calls SET status = 'completed', duration_seconds = 60,
    answered_at = CASE WHEN id = 95 THEN '294276-12-31 23:59:59+00'::timestamptz END, tenant_id = 9
WHERE id BETWEEN 91 AND 100;
SELECT results_eq(
    $$SELECT count(*) FILTER (WHERE pg_temp.net('calls', n) = 0.015), count(*) FILTER (WHERE pg_temp.waits_for('calls', n) = '22008')
      FROM generate_series(91, 100) AS n$$,
    'VALUES (9::bigint, 1::bigint)',
    'also when one of them makes PostgreSQL raise an error');

-- Trying again without a change.
SELECT results_eq('SELECT tried > 0, resolved FROM retry_unrated()', 'VALUES (true, 0::bigint)', 'trying again settles nothing that was not mended');
SELECT results_eq(
    $$SELECT count(*), max(attempts) FROM unrated_usage WHERE source_table = 'messages' AND source_id = 1$$,
    'VALUES (1::bigint, 2)', 'and counts the attempt in the same entry');

-- Mended: the price, the tenant.
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from) VALUES ('fax', 'message', 0.1, '2025-11-01'), ('fax', 'x', 0.2, '2025-11-01');
INSERT INTO tenants (id, company_name) VALUES (999, 'Late');
SELECT is((SELECT resolved FROM retry_unrated()), 5::bigint, 'with the price and the tenant there, retry_unrated() settles their rows');
SELECT results_eq(
    $$SELECT trim_scale(total_cost), occurred_at::timestamptz, usage_date FROM usage_records WHERE source_table = 'messages' AND source_id = 1$$,
    $$VALUES (0.1, '2025-11-14 10:00:00+00'::timestamptz, '2025-11-14'::date)$$,
    'at the time they occurred');
SELECT results_eq(
    $$SELECT tenant_id, trim_scale(total_cost), usage_date FROM usage_records WHERE source_table = 'calls' AND source_id = 1$$,
    $$VALUES (999::bigint, 0.015, '2025-11-14'::date)$$,
    'to the tenant they are of');
SELECT isnt(
    (SELECT resolved_at FROM unrated_usage WHERE source_table = 'calls' AND source_id = 1), NULL,
    'the entry stays, resolved');
SELECT is((SELECT resolved FROM retry_unrated()), 0::bigint, 'once');

-- Mended: the row.
UPDATE calls SET duration_seconds = 60 WHERE id BETWEEN 3 AND 8;
UPDATE calls SET tenant_id = 7 WHERE id = 2;
UPDATE calls SET answered_at = '2025-11-14 10:00:00+00' WHERE id IN (9, 10);
SELECT is(
    (SELECT count(*) FILTER (WHERE pg_temp.story('calls', n) = 'charge 0.015' AND pg_temp.waits_for('calls', n) IS NULL) FROM generate_series(2, 10) AS n),
    9::bigint, 'a row that is corrected is billed at once, and its entry resolved');

-- A correction that cannot be right.
UPDATE calls SET duration_seconds = 'NaN' WHERE id = 3;
SELECT is(pg_temp.story('calls', 3) || ', ' || pg_temp.waits_for('calls', 3), 'charge 0.015, UB003', 'what was billed stands while a bad correction waits');
UPDATE calls SET duration_seconds = 120 WHERE id = 3;
SELECT is(pg_temp.story('calls', 3), 'charge 0.015, reversal -0.015, charge 0.03', 'until it is corrected');
UPDATE calls SET duration_seconds = 'NaN' WHERE id = 3;
UPDATE calls SET status = 'failed' WHERE id = 3;
SELECT is(pg_temp.net('calls', 3), 0::numeric, 'or fails, and costs nothing');
SELECT is(pg_temp.waits_for('calls', 3), NULL, 'and waits for nothing');

-- maintain() tries again as well.
UPDATE messages SET channel = 'pigeon' WHERE id = 2;
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from) VALUES ('pigeon', 'message', 1, '2025-11-01');
SELECT is((SELECT done FROM maintain() WHERE task = 'unrated rows settled'), 1::bigint, 'maintain() settles what was mended');
SELECT is(pg_temp.net('messages', 2), 1::numeric, 'and it is billed');

-- A row that is gone.
UPDATE messages SET channel = 'owl' WHERE id = 1;
DELETE FROM messages WHERE id IN (1, 3);
SELECT lives_ok('SELECT retry_unrated()', 'a row that was deleted while it waited breaks nothing');
SELECT is(pg_temp.waits_for('messages', 3), 'UB003', 'and is still seen');

SELECT is_empty($$SELECT * FROM verify() WHERE check_name <> 'usage is rated'$$, 'every other promise holds');
SELECT * FROM finish();
ROLLBACK;
