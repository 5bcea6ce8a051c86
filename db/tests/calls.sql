-- A call is billed for what its row deserves, whatever the application does to the row.
BEGIN;
SELECT plan(39);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at)
SELECT n, 7, 'CA' || n, '+15559876543', 'in-progress', '2025-11-14 10:00:00+00'
FROM generate_series(1, 60) AS n;

-- What is billable.
UPDATE calls SET status = 'completed', duration_seconds = 315 WHERE id = 1;
SELECT results_eq(
    'SELECT trim_scale(quantity), trim_scale(seconds), trim_scale(billed_quantity), trim_scale(unit_cost), trim_scale(total_cost) FROM usage_records WHERE source_id = 1',
    'VALUES (5.25, 315::numeric, 5.25, 0.015, 0.07875)',
    '315 seconds at the default price are 5.25 minutes and cost 0.07875'
);

UPDATE calls SET direction = 'inbound', status = 'completed', duration_seconds = 315 WHERE id = 2;
SELECT is(pg_temp.story('calls', 2), NULL, 'an inbound call is free');

UPDATE calls SET status = 'failed', duration_seconds = 315 WHERE id = 3;
SELECT is(pg_temp.story('calls', 3), NULL, 'a call that failed is free');

UPDATE calls SET status = 'completed', duration_seconds = 0 WHERE id = 4;
SELECT is(pg_temp.story('calls', 4), NULL, 'a call without a second is free');

UPDATE calls SET status = 'completed', duration_seconds = 300, billable_seconds = 60 WHERE id = 5;
SELECT is(pg_temp.story('calls', 5), 'charge 0.015', 'billable_seconds count where they are given');

UPDATE calls SET status = 'completed', duration_seconds = 300, billable_seconds = 0 WHERE id = 6;
SELECT is(pg_temp.story('calls', 6), NULL, 'billable_seconds of 0 are given too: the call is free');

UPDATE calls SET status = 'completed', duration_seconds = 20.6 WHERE id = 7;
SELECT results_eq(
    'SELECT trim_scale(seconds), trim_scale(total_cost) FROM usage_records WHERE source_id = 7',
    'VALUES (20.6, 0.00525)',
    '20.6 seconds are kept as measured and billed as 21'
);

-- What comes late.
UPDATE calls SET status = 'completed' WHERE id = 8;
SELECT is(pg_temp.story('calls', 8), NULL, 'a completed call without a duration waits for it');
UPDATE calls SET duration_seconds = 60 WHERE id = 8;
SELECT is(pg_temp.story('calls', 8), 'charge 0.015', 'a duration that comes late is billed when it comes');

UPDATE calls SET duration_seconds = 60 WHERE id = 9;
UPDATE calls SET status = 'completed' WHERE id = 9;
SELECT is(pg_temp.story('calls', 9), 'charge 0.015', 'so is a status that comes after the duration');

INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES (101, 7, 'CA101', 'completed', '2025-11-14 10:00:00+00', 60);
SELECT is(pg_temp.story('calls', 101), 'charge 0.015', 'a call inserted as completed is billed');

-- What changes nothing.
UPDATE calls SET hangup_cause = 'NORMAL_CLEARING', metadata = '{"carrier": "x"}', updated_at = now() WHERE id = 1;
UPDATE calls SET ended_at = '2025-11-14 10:05:15+00' WHERE id = 1;
SELECT is(pg_temp.story('calls', 1), 'charge 0.07875', 'a change of what is not billed writes nothing');

UPDATE calls SET answered_at = '2025-11-14 10:00:12+00' WHERE id = 1;
SELECT is(pg_temp.story('calls', 1), 'charge 0.07875', 'another time of the same day at the same price is the same charge');

INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES (102, 7, 'CA102', 'completed', NULL, 60);
UPDATE calls SET ended_at = (SELECT occurred_at FROM usage_records WHERE source_id = 102) WHERE id = 102;
SELECT is(pg_temp.story('calls', 102), 'charge 0.015', 'a call without a time is billed at the time of recording, and once');

-- Status to and fro.
UPDATE calls SET status = 'failed' WHERE id = 5;
SELECT is(pg_temp.story('calls', 5), 'charge 0.015, reversal -0.015', 'a completed call that turns out failed is reversed');
UPDATE calls SET status = 'completed' WHERE id = 5;
UPDATE calls SET status = 'failed' WHERE id = 5;
UPDATE calls SET status = 'completed' WHERE id = 5;
SELECT is(
    pg_temp.story('calls', 5),
    'charge 0.015, reversal -0.015, charge 0.015, reversal -0.015, charge 0.015',
    'a status that flaps is billed once in the end'
);

INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at)
VALUES (103, 7, 'CA103', NULL, 'in-progress', '2025-11-14 10:00:00+00');
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = 103;
UPDATE calls SET duration_seconds = 120 WHERE id = 103;
UPDATE calls SET status = 'failed' WHERE id = 103;
SELECT is(pg_temp.story('calls', 103), 'charge 0.015, reversal -0.015, charge 0.03, reversal -0.03',
    'a call without a destination is corrected and reversed like any other');

-- Corrections. A price of its own for Acme comes with hindsight, at twice the default.
UPDATE calls SET status = 'completed', duration_seconds = 315 WHERE id = 14;
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from)
VALUES (7, 'voice', 'minute', 0.03, '2025-01-01 00:00:00+00');

UPDATE calls SET duration_seconds = 600 WHERE id = 14;
SELECT is(
    pg_temp.story('calls', 14), 'charge 0.07875, reversal -0.07875, charge 0.15',
    'a corrected duration is reversed and billed anew at the recorded rate, whatever prices have come since'
);
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = 10;
SELECT is(pg_temp.story('calls', 10), 'charge 0.03', 'while another call has the new price');

UPDATE calls SET to_number = '+442071838750' WHERE id = 14;
SELECT is(
    pg_temp.story('calls', 14), 'charge 0.07875, reversal -0.07875, charge 0.15, reversal -0.15, charge 0.3',
    'a corrected destination is priced anew'
);

UPDATE calls SET answered_at = '2024-12-31 23:00:00+00' WHERE id = 10;
SELECT is(
    pg_temp.story('calls', 10), 'charge 0.03, reversal -0.03, charge 0.015',
    'a corrected time is priced anew, at the price of that time'
);
SELECT results_eq(
    'SELECT usage_date, trim_scale(sum(total_cost)) FROM usage_records WHERE source_id = 10 GROUP BY usage_date ORDER BY usage_date',
    $$VALUES ('2024-12-31'::date, 0.015), ('2025-11-14'::date, 0::numeric)$$,
    'and moves to its day'
);

UPDATE calls SET tenant_id = 8 WHERE id = 9;
SELECT results_eq(
    'SELECT tenant_id, trim_scale(sum(total_cost)), sum(CASE kind WHEN ''charge'' THEN 1 ELSE -1 END)
     FROM usage_records WHERE source_id = 9 GROUP BY tenant_id ORDER BY tenant_id',
    'VALUES (7::bigint, 0::numeric, 0::bigint), (8::bigint, 0.015, 1::bigint)',
    'a corrected tenant is charged instead of the wrong one'
);
UPDATE calls SET tenant_id = 7 WHERE id = 9;
UPDATE calls SET tenant_id = 8, duration_seconds = 120 WHERE id = 9;
SELECT results_eq(
    'SELECT tenant_id, trim_scale(sum(total_cost)) FROM usage_records WHERE source_id = 9 GROUP BY tenant_id ORDER BY tenant_id',
    'VALUES (7::bigint, 0::numeric), (8::bigint, 0.03)',
    'to and fro as well, together with the duration'
);

UPDATE calls SET id = 1001 WHERE id = 8;
SELECT is(
    pg_temp.net('calls', 8) || ' and ' || pg_temp.net('calls', 1001), '0 and 0.03',
    'a row that changes its id is billed under the new one only'
);

-- Other ways of writing.
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES
    (11, 8, 'CA11', 'completed', '2025-11-14 10:00:00+00', 60),
    (111, 8, 'CA111', 'completed', '2025-11-14 10:00:00+00', 60)
ON CONFLICT (id) DO UPDATE SET tenant_id = EXCLUDED.tenant_id, status = EXCLUDED.status, duration_seconds = EXCLUDED.duration_seconds;
SELECT is(pg_temp.story('calls', 11) || ' and ' || pg_temp.story('calls', 111), 'charge 0.015 and charge 0.015',
    'an upsert bills what it inserts and what it updates');
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES (111, 8, 'CA111', 'completed', '2025-11-14 10:00:00+00', 60)
ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, duration_seconds = EXCLUDED.duration_seconds;
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES (111, 8, 'CA111', 'completed', '2025-11-14 10:00:00+00', 600)
ON CONFLICT (id) DO NOTHING;
SELECT is(pg_temp.story('calls', 111), 'charge 0.015', 'the same upsert again bills nothing, and a conflict passed over neither');

MERGE INTO calls AS c
USING (VALUES (12, 'completed', 60), (13, 'completed', 120), (112, 'completed', 180)) AS cdr (id, status, seconds)
ON c.id = cdr.id
WHEN MATCHED THEN UPDATE SET tenant_id = 8, status = cdr.status, duration_seconds = cdr.seconds
WHEN NOT MATCHED THEN INSERT (id, tenant_id, status, duration_seconds, initiated_at)
    VALUES (cdr.id, 8, cdr.status, cdr.seconds, '2025-11-14 10:00:00+00');
SELECT is(
    concat_ws(' and ', pg_temp.story('calls', 12), pg_temp.story('calls', 13), pg_temp.story('calls', 112)),
    'charge 0.015 and charge 0.03 and charge 0.045',
    'MERGE bills what it updates and what it inserts'
);
SELECT is(
    (SELECT resource_id FROM usage_records WHERE source_id = 112), '112',
    'a call without a sid is known by its id'
);

UPDATE calls SET tenant_id = 8, status = 'completed', duration_seconds = id WHERE id BETWEEN 21 AND 24;
SELECT is(
    (SELECT trim_scale(sum(total_cost)) FROM usage_records WHERE source_id BETWEEN 21 AND 24), 90 * 0.015 / 60,
    'one statement over a few rows bills each'
);
UPDATE calls SET tenant_id = 8, status = 'completed', duration_seconds = id WHERE id BETWEEN 31 AND 60;
SELECT is(
    (SELECT trim_scale(sum(total_cost)) FROM usage_records WHERE source_id BETWEEN 31 AND 60), trim_scale(1365 * 0.015 / 60),
    'so does one over many'
);
UPDATE calls SET status = CASE WHEN id % 2 = 0 THEN 'failed' ELSE status END, duration_seconds = duration_seconds + 1
WHERE id BETWEEN 31 AND 60;
SELECT is(
    (SELECT trim_scale(sum(total_cost)) FROM usage_records WHERE source_id BETWEEN 31 AND 60), trim_scale(690 * 0.015 / 60),
    'one statement that reverses some and corrects the others'
);
UPDATE calls SET status = 'completed' WHERE id BETWEEN 20 AND 60;
SELECT is(
    (SELECT trim_scale(sum(total_cost)) FROM usage_records WHERE source_id BETWEEN 31 AND 60), trim_scale(1395 * 0.015 / 60),
    'and one that completes rows that were billed before among rows that were not'
);

-- Housekeeping is no refund.
DELETE FROM calls WHERE id = 101;
SELECT is(pg_temp.story('calls', 101), 'charge 0.015', 'a row that is deleted stays billed');
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES (101, 7, 'CA101', 'completed', '2025-11-14 10:00:00+00', 60);
SELECT is(pg_temp.story('calls', 101), 'charge 0.015', 'a row that is deleted and inserted again is billed once');
DELETE FROM calls WHERE id = 101;
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES (101, 7, 'CA101', 'completed', '2025-11-14 10:00:00+00', 120);
SELECT is(pg_temp.net('calls', 101), 0.03, 'and brought to what it deserves when it comes back otherwise');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
CREATE TEMPORARY TABLE before AS SELECT * FROM usage_records;
TRUNCATE calls;
SELECT results_eq('SELECT count(*), sum(total_cost) FROM usage_records', 'SELECT count(*), sum(total_cost) FROM before',
    'rows that are truncated stay billed');
SELECT is_empty('SELECT * FROM verify()', 'and every promise holds still');

SELECT * FROM finish();
ROLLBACK;
