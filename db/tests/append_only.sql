-- What is written stays written.
BEGIN;
SELECT plan(34);
\ir fixtures/tenants.sql

-- One record in a month without a partition of its own, one in a month with one.
SELECT lives_ok($$SELECT ensure_partition('2025-11-01')$$, 'November has a partition');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
VALUES (1, 7, 'completed', '2020-02-14 10:00:00+00', 60), (2, 7, 'completed', '2025-11-14 10:00:00+00', 60);
SELECT is(
    (SELECT string_agg(tableoid::regclass::text, ', ' ORDER BY usage_date) FROM usage_records),
    'usage_records_default, usage_records_2025_11', 'two records stand in two partitions');
SELECT lives_ok($$SELECT grant_credit(7, 100, 'purchase', 'order 1')$$, 'and an entry of credit');

SELECT throws_ok(statement, 'UB014', NULL, statement || ' is refused')
FROM unnest(ARRAY[
    'UPDATE usage_records SET total_cost = 0',
    'UPDATE usage_records SET metadata = ''{}''',
    'UPDATE usage_records SET usage_date = usage_date + 31',
    'DELETE FROM usage_records',
    'TRUNCATE usage_records',
    'UPDATE usage_records_default SET total_cost = 0',
    'DELETE FROM usage_records_default',
    'TRUNCATE usage_records_default',
    'UPDATE usage_records_2025_11 SET total_cost = 0',
    'DELETE FROM usage_records_2025_11',
    'TRUNCATE usage_records_2025_11',
    'UPDATE credit_entries SET amount = 1000',
    'DELETE FROM credit_entries',
    'TRUNCATE credit_entries'
]) AS statement;

-- A record cannot be made that breaks the chain, or that is no number.
SELECT throws_ok(
    format(
        $$INSERT INTO usage_records (tenant_id, source_id, source_table, rate_id, occurred_at, usage_date, kind, revision, channel, resource_type,
            resource_id, quantity, unit_cost, total_cost, currency, billed_quantity)
          VALUES (7, %s, 'calls', 1, '2025-11-14', '2025-11-14', %L, %s, 'voice', 'minute', 'x', %s, 0.015, %s, 'USD', 1)$$,
        source_id, kind, revision, quantity, cost),
    state, NULL, name || ' is refused')
FROM (VALUES
    (2, 'charge', 1, '1', '1', '23505', 'a second first charge for a row'),
    (2, 'charge', 2, '1', '1', '23514', 'a charge where a reversal belongs'),
    (2, 'reversal', 1, '-1', '-1', '23514', 'a reversal where a charge belongs'),
    (2, 'reversal', 2, '1', '-1', '23514', 'a reversal that adds'),
    (3, 'charge', 1, '-1', '1', '23514', 'a charge that takes away'),
    (3, 'charge', 1, '''NaN''', '1', '23514', 'a quantity of NaN'),
    (3, 'charge', 1, '1', '''NaN''', '23514', 'a cost of NaN'),
    (3, 'charge', 1, '''Infinity''', '1', '23514', 'a quantity without end'),
    (3, 'charge', 1, '1', '''Infinity''', '23514', 'a cost without end'),
    (3, 'reversal', 2, '-1', '''-Infinity''', '23514', 'a reversal without end'),
    (3, 'gift', 1, '1', '1', '23514', 'a kind that is none')
) AS bad (source_id, kind, revision, quantity, cost, state, name);

-- A correction adds and takes nothing away.
CREATE TEMPORARY TABLE before AS SELECT * FROM usage_records;
UPDATE calls SET duration_seconds = 120;
SELECT is((SELECT count(*) FROM usage_records), 6::bigint, 'a correction adds a reversal and a charge');
SELECT is_empty('TABLE before EXCEPT TABLE usage_records', 'and leaves what was there as it was');
SELECT lives_ok('SELECT maintain()', 'housekeeping moves records to their partition');
SELECT is_empty('TABLE before EXCEPT TABLE usage_records', 'and leaves them as they were');
SELECT throws_ok('DELETE FROM usage_records_2020_02', 'UB014', NULL, 'where they are kept as before');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
