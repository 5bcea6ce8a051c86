-- A write never fails for want of a partition; housekeeping gives the month one, and loses nothing.
BEGIN;
SELECT plan(21);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

CREATE FUNCTION pg_temp.partition_of(p_source_id bigint)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(DISTINCT c.relname, ', ')
    FROM billing.usage_records AS r
    INNER JOIN pg_class AS c ON c.oid = r.tableoid
    WHERE r.source_id = p_source_id
$$;

SELECT is(
    (SELECT count(*) FROM generate_series(0, 3) AS n
     WHERE to_regclass('billing.usage_records_' || to_char((now() AT TIME ZONE 'UTC') + n * interval '1 month', 'YYYY_MM')) IS NOT NULL),
    4::bigint, 'this month and the next three have partitions ahead of time');

INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at, duration_seconds)
VALUES
    (1, 7, 'CA1', '+15559876543', 'completed', '2020-02-01 00:00:00+00', 60),
    (2, 7, 'CA2', '+15559876543', 'completed', '2020-02-29 23:59:59+00', 60),
    (3, 7, 'CA3', '+15559876543', 'completed', '2020-03-01 00:00:00+00', 60),
    (4, 7, 'CA4', '+15559876543', 'completed', '1969-12-31 00:00:00+00', 60),
    (5, 7, 'CA5', '+15559876543', 'completed', '4712-01-01 00:00:00+00', 60);
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from) VALUES (7, 'voice', 'minute', 0.03, '1900-01-01');
SELECT lives_ok('SELECT retry_unrated()', 'what is older than all prices is rated when there is one for it');
UPDATE calls SET duration_seconds = 120 WHERE id = 1;
SELECT is(pg_temp.partition_of(n), 'usage_records_default', 'call ' || n || ', of a month without a partition, is written')
FROM generate_series(1, 5) AS n;
SELECT is(pg_temp.story('calls', 1), 'charge 0.015, reversal -0.015, charge 0.03', 'and corrected');

CREATE TEMPORARY TABLE before AS SELECT * FROM usage_records;
SELECT is(
    (SELECT done FROM maintain() WHERE task = 'months moved out of the default partition'), 2::bigint,
    'maintain() gives the months of the past a partition');
SELECT is(pg_temp.partition_of(1) || ', ' || pg_temp.partition_of(2), 'usage_records_2020_02, usage_records_2020_02', 'their records move there, from the first day to the last');
SELECT is(pg_temp.partition_of(3), 'usage_records_2020_03', 'each to its month');
SELECT is(pg_temp.partition_of(4) || ', ' || pg_temp.partition_of(5), 'usage_records_default, usage_records_default', 'what cannot be a month of business stays');
SELECT results_eq('SELECT * FROM usage_records ORDER BY id', 'SELECT * FROM before ORDER BY id', 'nothing is lost and nothing changed');
SELECT is(
    (SELECT done FROM maintain() WHERE task = 'months moved out of the default partition'), 0::bigint, 'a further round has nothing to do');

UPDATE calls SET status = 'failed' WHERE id = 1;
SELECT is(pg_temp.net('calls', 1), 0::numeric, 'a record that moved is found and reversed');
UPDATE calls SET status = 'completed' WHERE id = 1;
SELECT is(pg_temp.net('calls', 1), 0.06, 'and charged again');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (6, 7, 'completed', '2020-02-15 00:00:00+00', 60), (7, 7, 'completed', '2020-05-15 00:00:00+00', 60);
SELECT is(pg_temp.partition_of(6) || ', ' || pg_temp.partition_of(7), 'usage_records_2020_02, usage_records_default', 'what comes next goes to the new partition, or to the default as before');
SELECT is(ensure_partition('2020-05-31') || ' ' || ensure_partition('2020-05-01'), 'true false', 'ensure_partition makes one, once');
SELECT is(pg_temp.partition_of(7), 'usage_records_2020_05', 'and moves what is of it');

SELECT results_eq(
    $$SELECT count(*) FROM pg_inherits WHERE inhparent = 'billing.usage_records'::regclass AND inhdetachpending$$, 'VALUES (0::bigint)',
    'no partition is left half detached');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
