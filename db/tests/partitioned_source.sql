-- A partitioned table of the application's is billed like any other, wherever its rows are written and move.
BEGIN;
SELECT plan(29);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

CREATE TABLE public.call_log (
    id bigint NOT NULL,
    tenant_id bigint,
    direction text NOT NULL DEFAULT 'outbound',
    status text NOT NULL DEFAULT 'initiated',
    to_number text,
    initiated_at timestamptz NOT NULL,
    duration_seconds numeric,
    -- Types that know no equality.
    notes json DEFAULT '{}',
    place point DEFAULT '(1,2)',
    PRIMARY KEY (id, initiated_at)
) PARTITION BY RANGE (initiated_at);
CREATE TABLE public.call_log_2025_10 PARTITION OF public.call_log
    FOR VALUES FROM ('2025-10-01 00:00:00+00') TO ('2025-11-01 00:00:00+00');
CREATE TABLE public.call_log_2025_11 PARTITION OF public.call_log
    FOR VALUES FROM ('2025-11-01 00:00:00+00') TO ('2025-12-01 00:00:00+00');

SELECT lives_ok($$SELECT meter_table('public.call_log', 'billing.measure_call')$$, 'meter_table attaches a partitioned table');

INSERT INTO call_log (id, tenant_id, initiated_at)
SELECT n, 7, '2025-10-31 10:00:00+00'
FROM generate_series(1, 20) AS n;
UPDATE call_log SET status = 'completed', duration_seconds = 60 WHERE id = 1;
SELECT is(pg_temp.story('call_log', 1), 'charge 0.015', 'a call completed through the parent is billed');

UPDATE call_log_2025_10 SET status = 'completed', duration_seconds = 120 WHERE id = 2;
SELECT is(pg_temp.story('call_log', 2), 'charge 0.03', 'so is one completed in its partition by name');
INSERT INTO call_log_2025_11 (id, tenant_id, status, initiated_at, duration_seconds)
VALUES (102, 7, 'completed', '2025-11-14 10:00:00+00', 60);
SELECT is(pg_temp.story('call_log', 102), 'charge 0.015', 'and one inserted there');

SELECT lives_ok($$UPDATE call_log SET notes = '{"seen": true}', place = '(3,4)' WHERE id = 1$$, 'what is not measured may be of any type');
SELECT is(pg_temp.story('call_log', 1), 'charge 0.015', 'and bills nothing');

-- A row that moves is deleted in one partition and inserted in another.
UPDATE call_log SET initiated_at = '2025-11-02 10:00:00+00' WHERE id = 1;
SELECT is(pg_temp.story('call_log', 1), 'charge 0.015, reversal -0.015, charge 0.015',
    'a billed call that moves to another partition is billed once, on its new day');
SELECT results_eq(
    $$SELECT usage_date, trim_scale(sum(total_cost)) FROM usage_records
      WHERE source_table = 'call_log' AND source_id = 1 GROUP BY usage_date ORDER BY usage_date$$,
    $$VALUES ('2025-10-31'::date, 0::numeric), ('2025-11-02'::date, 0.015)$$,
    'and nothing is left on the old one'
);
UPDATE call_log SET initiated_at = '2025-11-03 10:00:00+00', status = 'completed', duration_seconds = 60 WHERE id = 3;
SELECT is(pg_temp.story('call_log', 3), 'charge 0.015', 'a call that completes as it moves is billed');
UPDATE call_log SET initiated_at = '2025-11-03 10:00:00+00', status = 'failed' WHERE id = 2;
SELECT is(pg_temp.story('call_log', 2), 'charge 0.03, reversal -0.03', 'one that fails as it moves is reversed');
UPDATE call_log SET initiated_at = '2025-11-03 10:00:00+00' WHERE id = 4;
SELECT is(pg_temp.story('call_log', 4), NULL, 'one that deserves nothing before and after stays free');
UPDATE call_log SET initiated_at = '2025-10-15 10:00:00+00', duration_seconds = 180 WHERE id = 3;
SELECT is(pg_temp.story('call_log', 3), 'charge 0.015, reversal -0.015, charge 0.045', 'one that is corrected as it moves is billed anew');

-- MERGE, across partitions and within.
MERGE INTO call_log AS c
USING (VALUES
    (5, '2025-10-31 10:00:00+00'::timestamptz, 60),
    (6, '2025-11-05 10:00:00+00', 120),
    (106, '2025-11-05 10:00:00+00', 180)
) AS cdr (id, started, seconds)
ON c.id = cdr.id
WHEN MATCHED THEN UPDATE SET status = 'completed', initiated_at = cdr.started, duration_seconds = cdr.seconds
WHEN NOT MATCHED THEN INSERT (id, tenant_id, status, initiated_at, duration_seconds)
    VALUES (cdr.id, 7, 'completed', cdr.started, cdr.seconds);
SELECT is(
    concat_ws(' and ', pg_temp.story('call_log', 5), pg_temp.story('call_log', 6), pg_temp.story('call_log', 106)),
    'charge 0.015 and charge 0.03 and charge 0.045',
    'MERGE bills what it updates, what it moves and what it inserts'
);

UPDATE call_log SET status = 'completed', duration_seconds = 60, initiated_at = '2025-11-06 10:00:00+00' WHERE id BETWEEN 7 AND 20;
UPDATE call_log SET initiated_at = initiated_at - interval '20 days' WHERE id BETWEEN 7 AND 20;
SELECT is(
    (SELECT count(*) FILTER (WHERE pg_temp.net('call_log', n) = 0.015) FROM generate_series(7, 20) AS n), 14::bigint,
    'one statement that moves many rows bills each once'
);

INSERT INTO call_log (id, tenant_id, status, initiated_at, duration_seconds)
VALUES (5, 7, 'completed', '2025-10-31 10:00:00+00', 240)
ON CONFLICT (id, initiated_at) DO UPDATE SET duration_seconds = EXCLUDED.duration_seconds;
SELECT is(pg_temp.net('call_log', 5), 0.06, 'an upsert bills what it updates');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');

DELETE FROM call_log WHERE id = 5;
DELETE FROM call_log_2025_11 WHERE id = 6;
SELECT is(pg_temp.net('call_log', 5) || ' and ' || pg_temp.net('call_log', 6), '0.06 and 0.03', 'rows that are deleted stay billed');
ALTER TABLE call_log DETACH PARTITION call_log_2025_10;
DROP TABLE call_log_2025_10;
SELECT is(pg_temp.net('call_log', 3), 0.045, 'so do the rows of a partition that is dropped');

UPDATE call_log SET tenant_id = 999 WHERE id = 102;
SELECT is(pg_temp.waits_for('call_log', 102), 'UB002', 'what cannot be rated is set aside, and the update succeeds');
UPDATE call_log SET tenant_id = 8 WHERE id = 102;
SELECT is(
    (SELECT string_agg(kind || ' ' || tenant_id, ', ' ORDER BY id) FROM usage_records WHERE source_table = 'call_log' AND source_id = 102),
    'charge 7, reversal 7, charge 8', 'and billed when it is corrected');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds still');

-- A trigger function of the table's serves no other, not even where a row comes to be worth nothing.
CREATE TABLE public.other_log (LIKE public.call_log INCLUDING DEFAULTS);
INSERT INTO other_log (id, tenant_id, status, initiated_at, duration_seconds) VALUES (1, 7, 'completed', '2025-11-14 10:00:00+00', 60);
CREATE TRIGGER forged AFTER UPDATE ON public.other_log FOR EACH ROW EXECUTE FUNCTION billing.meter_call_log();
SELECT throws_ok($$UPDATE other_log SET status = 'failed'$$, 'UB020', NULL, 'another table is not billed as this');
DROP TABLE other_log;

-- A row that cannot be measured, and goes.
CREATE FUNCTION public.measure_size(p_id bigint, p_tenant_id bigint, p_size text) RETURNS SETOF billing.measurement
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_id, 1::smallint, p_tenant_id, 'sms', 'message', p_id::text, p_size::numeric, NULL::text, NULL::timestamptz
$$;
CREATE TABLE public.sizes (id bigint NOT NULL, tenant_id bigint, size text) PARTITION BY RANGE (id);
CREATE TABLE public.sizes_1 PARTITION OF public.sizes FOR VALUES FROM (1) TO (10);
INSERT INTO sizes VALUES (1, 7, '1'), (2, 7, 'large');
SELECT meter_table('public.sizes', 'public.measure_size') \g /dev/null
DELETE FROM sizes WHERE id = 2;
SELECT is(pg_temp.waits_for('sizes', 2), NULL, 'a row that is deleted is not set aside');
INSERT INTO sizes VALUES (3, 7, '1'), (4, 7, '1');
UPDATE sizes SET size = 'large' WHERE id = 4;
SELECT is((SELECT count(*) FROM unrated_usage WHERE source_table = 'sizes'), 1::bigint, 'one that cannot be measured any more is, once');
SELECT is((SELECT context ? 'is_renamed' FROM unrated_usage WHERE source_table = 'sizes' AND source_id = 4), false, 'under the id that it has');
UPDATE sizes SET id = 5, size = 'large' WHERE id = 3;
SELECT is(pg_temp.waits_for('sizes', 5), '22P02', 'one that got another id at that is');
SELECT is((SELECT context ? 'is_renamed' FROM unrated_usage WHERE source_table = 'sizes' AND source_id = 3), true, 'and what it was billed under the old one waits, too');

SELECT lives_ok($$SELECT unmeter_table('public.call_log'), unmeter_table('public.call_log')$$, 'unmeter_table detaches it, and twice is once');
UPDATE call_log SET duration_seconds = 6000 WHERE id = 102;
SELECT is(pg_temp.net('call_log', 102), 0.015, 'from then on its rows are not billed');

SELECT * FROM finish();
ROLLBACK;
