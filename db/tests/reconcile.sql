-- What got past the triggers is found and repaired, for the days asked for, once; what is as it should be is left alone.
BEGIN;
SELECT plan(42);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at, duration_seconds)
SELECT n, 7, 'CA' || n, '+15559876543', 'completed', '2025-11-14 10:00:00+00', 60
FROM generate_series(1, 12) AS n;
INSERT INTO messages (id, tenant_id, channel, to_address, status, sent_at)
VALUES (1, 7, 'sms', '+15559876543', 'sent', '2025-11-14 10:00:00+00');
SELECT results_eq(
    $$SELECT * FROM reconcile('2025-11-01', '2025-11-30')$$,
    $$VALUES ('calls', 12::bigint, 0::bigint, 0::bigint, 0::bigint), ('messages', 1, 0, 0, 0)$$,
    'where all is as it should be nothing is repaired');

-- With the triggers off.
ALTER TABLE calls DISABLE TRIGGER USER;
UPDATE calls SET duration_seconds = 120 WHERE id = 1;
UPDATE calls SET status = 'failed' WHERE id = 2;
UPDATE calls SET tenant_id = 8 WHERE id = 3;
UPDATE calls SET initiated_at = '2025-11-15 10:00:00+00' WHERE id = 4;
UPDATE calls SET initiated_at = '2025-09-14 10:00:00+00' WHERE id = 5;
UPDATE calls SET tenant_id = 999 WHERE id = 6;
UPDATE calls SET to_number = '+442079460000' WHERE id = 7;
UPDATE calls SET hangup_cause = 'NORMAL_CLEARING' WHERE id = 8;
DELETE FROM calls WHERE id = 9;
UPDATE calls SET answered_at = '2025-11-14 10:00:01+00' WHERE id = 10;
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
VALUES
    (101, 7, 'completed', '2025-11-14 10:00:00+00', 60),
    (102, 7, 'completed', '2025-10-14 10:00:00+00', 60),
    (103, 9, 'completed', '2025-11-30 14:59:59+00', 60),
    (104, 9, 'completed', '2025-11-30 15:00:00+00', 60),
    (105, 7, 'failed', '2025-11-14 10:00:00+00', 60),
    (106, 7, 'completed', '2025-11-14 10:00:00+00', 'NaN');
ALTER TABLE calls ENABLE TRIGGER USER;
SELECT set_eq(
    'SELECT check_name, subject FROM verify()',
    $$SELECT 'deserved equals recorded' AS check_name, 'calls ' || n AS subject FROM unnest('{1,2,3,4,5,6,7,101,102,103,104,106}'::int[]) AS n$$,
    'verify() finds each row that differs, and no other');
SELECT is(
    (SELECT detail FROM verify() WHERE subject = 'calls 3'),
    'deserves 60 voice/minute (tenant 8, 2025-11-14), recorded 60 voice/minute (tenant 7, 2025-11-14)',
    'and says what was found');
SELECT is(
    (SELECT detail FROM verify() WHERE subject = 'calls 7') LIKE '%for another destination', true,
    'without personal data');
SELECT set_eq(
    $$SELECT subject FROM verify('2025-10-01', '2025-10-31')$$, $$VALUES ('calls 102')$$,
    'with days, what is of those days');
SELECT set_eq(
    $$SELECT subject FROM verify('2025-09-01', '2025-09-30')$$, $$VALUES ('calls 5')$$,
    'a row that moved into them');
SELECT set_has(
    $$SELECT subject FROM verify('2025-11-01', '2025-11-30')$$, $$VALUES ('calls 5')$$,
    'or out of them');

SELECT results_eq(
    $$SELECT * FROM reconcile('2025-11-01', '2025-11-30') WHERE source_table = 'calls'$$,
    $$VALUES ('calls', 14::bigint, 13::bigint, 2::bigint, 0::bigint)$$,
    'November is reconciled: rows of November or with records of it');
SELECT is(pg_temp.story('calls', 1), 'charge 0.015, reversal -0.015, charge 0.03', 'a changed duration is billed anew');
SELECT is(pg_temp.story('calls', 2), 'charge 0.015, reversal -0.015', 'what came to deserve nothing is taken back');
SELECT results_eq(
    'SELECT tenant_id, sum(seconds) FROM usage_records WHERE source_id = 3 GROUP BY 1 ORDER BY 1',
    'VALUES (7::bigint, 0::numeric), (8, 60)', 'another tenant pays');
SELECT results_eq(
    'SELECT usage_date, sum(seconds) FROM usage_records WHERE source_id = 4 GROUP BY 1 ORDER BY 1',
    $$VALUES ('2025-11-14'::date, 0::numeric), ('2025-11-15', 60)$$, 'another day has the usage');
SELECT results_eq(
    'SELECT usage_date, sum(seconds) FROM usage_records WHERE source_id = 5 GROUP BY 1 ORDER BY 1',
    $$VALUES ('2025-09-14'::date, 60::numeric), ('2025-11-14', 0)$$, 'also one outside of the days asked for');
SELECT is(pg_temp.story('calls', 6) || ', ' || pg_temp.waits_for('calls', 6), 'charge 0.015, UB002', 'what cannot be rated is set aside, and what was billed stands');
SELECT is((SELECT destination FROM usage_records WHERE source_id = 7 ORDER BY id DESC LIMIT 1), '442079460000', 'another destination is rated');
SELECT is(pg_temp.story('calls', 8), 'charge 0.015', 'what is not billed changes nothing');
SELECT is(pg_temp.story('calls', 9), 'charge 0.015', 'what was deleted stays billed');
SELECT is(pg_temp.story('calls', 10), 'charge 0.015', 'a second of the same day at the same price is no difference');
SELECT is(pg_temp.story('calls', 101), 'charge 0.015', 'what is missing is charged');
SELECT is(pg_temp.story('calls', 102), NULL, 'of other days nothing is');
SELECT is(pg_temp.story('calls', 103) || ' ' || COALESCE(pg_temp.story('calls', 104), 'nothing'), 'charge 0.015 nothing', 'days are those of the tenant''s zone');
SELECT is(pg_temp.story('calls', 105), NULL, 'what deserves nothing gets nothing');
SELECT is(pg_temp.waits_for('calls', 106), 'UB003', 'what cannot be right is set aside');
SELECT results_eq(
    $$SELECT repaired FROM reconcile('2025-11-01', '2025-11-30')$$, 'VALUES (0::bigint), (0)', 'twice is once');
SELECT results_eq(
    $$SELECT sum(repaired) FROM reconcile('2025-10-01', '2025-12-31')$$, 'VALUES (2::numeric)', 'other days repair what is of them');
SELECT set_eq(
    'SELECT subject FROM verify()', $$VALUES ('calls 6'), ('calls 106')$$, 'then only what waits for somebody is left');
INSERT INTO tenants (id, company_name) VALUES (999, 'Late');
UPDATE calls SET duration_seconds = 60 WHERE id = 106;
SELECT lives_ok($$SELECT reconcile('2025-11-01', '2025-11-30')$$, 'the sweep tries again what was set aside');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');

-- A price that changes within the day.
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from)
VALUES (8, 'voice', 'minute', 0.5, '2025-11-20 12:00:00+00');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (201, 8, 'completed', '2025-11-20 10:00:00+00', 60);
ALTER TABLE calls DISABLE TRIGGER USER;
UPDATE calls SET initiated_at = '2025-11-20 13:00:00+00' WHERE id = 201;
ALTER TABLE calls ENABLE TRIGGER USER;
SELECT reconcile('2025-11-20', '2025-11-20');
SELECT is(pg_temp.net('calls', 201), 0.5, 'a time moved within its day is billed at the price of that time');

-- By hand and by row.
SELECT record_usage(7, 'voice', 'minute', 'by hand', 1, '{}', '2025-11-14 10:00:00+00');
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds) VALUES (301, 7, 'by hand', 'completed', '2025-11-14 10:00:00+00', 60);
SELECT is(pg_temp.story('calls', 301), NULL, 'a call recorded by hand');
SELECT is((SELECT sum(repaired) FROM reconcile('2025-11-14', '2025-11-14')), 0::numeric, 'is not billed by the sweep');
ALTER TABLE calls DISABLE TRIGGER USER;
UPDATE calls SET duration_seconds = 120 WHERE id = 301;
ALTER TABLE calls ENABLE TRIGGER USER;
SELECT reconcile('2025-11-14', '2025-11-14');
SELECT is((SELECT sum(seconds) FROM usage_records WHERE resource_id = 'by hand'), 120::numeric, 'unless its row says otherwise');

-- A detached month.
SELECT ensure_partition('2025-08-01');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
SELECT n, 7, 'completed', '2025-08-14 10:00:00+00', 60
FROM generate_series(401, 403) AS n;
SELECT detach_month('2025-08-01');
SELECT is((SELECT sum(repaired) + sum(unrated) FROM reconcile('2025-07-01', '2025-11-30')), 0::numeric, 'a detached month is passed over');
SELECT is((SELECT sum(recorded) + sum(unrated) FROM backfill_usage('2025-07-01', '2025-11-30')), 0::numeric, 'by a backfill as well');
SELECT is_empty('SELECT * FROM verify()', 'and every promise holds');
SELECT attach_month('2025-08-01');

-- History.
ALTER TABLE calls DISABLE TRIGGER USER;
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (501, 7, 'completed', '2025-06-14 10:00:00+00', 60);
ALTER TABLE calls ENABLE TRIGGER USER;
UPDATE metered_tables SET history_id = 501 WHERE source_table = 'calls';
SELECT is((SELECT sum(repaired) FROM reconcile('2025-06-01', '2025-06-30')), 0::numeric, 'what was there before is not billed by the sweep');
SELECT is((SELECT sum(recorded) FROM backfill_usage('2025-06-01', '2025-06-30')), 1::numeric, 'but by a backfill');

SELECT throws_ok($$SELECT * FROM reconcile('2025-06-02', '2025-06-01')$$, 'UB012', NULL, 'a range that ends before it begins is UB012');
SELECT throws_ok($$SELECT * FROM verify('2025-06-02', '2025-06-01')$$, 'UB012', NULL, 'for verify() too');
SELECT throws_ok($$SELECT * FROM verify('2025-06-02')$$, 'UB012', NULL, 'as is half a range');
SELECT throws_ok($$SELECT * FROM reconcile('-infinity', 'infinity')$$, 'UB012', NULL, 'or one without end');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
