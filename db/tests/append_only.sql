-- What is written stays written.
BEGIN;
SELECT plan(51);
\ir fixtures/tenants.sql

-- One record in a month without a partition of its own, one in a month with one.
SELECT lives_ok($$SELECT ensure_partition('2025-11-01')$$, 'November has a partition');
INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)
VALUES (1, 7, NULL, 'completed', '2020-02-14 10:00:00+00', 60), (2, 7, '+15559876543', 'completed', '2025-11-14 10:00:00+00', 60);
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

-- What forgetting sets, whoever sets it: a number may be shortened, texts taken away, and nothing else.
SET LOCAL billing.forgets = 'on';
SELECT throws_ok(statement, 'UB014', NULL, statement || ' is refused also while billing.forgets')
FROM unnest(ARRAY[
    'UPDATE usage_records SET destination = ''1***'', total_cost = 0 WHERE source_id = 2',
    'UPDATE usage_records SET destination = ''15559876543''',
    'UPDATE usage_records SET destination = NULL WHERE source_id = 2',
    'UPDATE usage_records SET destination = ''2***'' WHERE source_id = 2',
    'UPDATE usage_records SET metadata = ''{"to": "new"}''',
    'UPDATE usage_records SET resource_id = ''another''',
    'UPDATE usage_records SET source_id = 3',
    'UPDATE usage_records_2025_11 SET xact = ''1''',
    'DELETE FROM usage_records'
]) AS statement;
SELECT lives_ok(
    $$UPDATE usage_records SET destination = '1555***', metadata = '{}', resource_id = '***1' WHERE source_id = 2$$,
    'but its last digits and its texts may go');
SET LOCAL billing.forgets = 'off';

-- A record cannot be made that is no number, or that bills a row a second time.
SELECT throws_ok(
    format(
        $$INSERT INTO usage_records (tenant_id, source_id, source_table, rate_id, occurred_at, usage_date, kind, channel, resource_type,
            resource_id, quantity, unit_cost, total_cost, currency, billed_quantity)
          VALUES (7, %s, 'calls', 1, %L, '2025-11-14', %L, 'voice', 'minute', 'x', %s, %s, %s, 'USD', 1)$$,
        source_id, occurred_at, kind, quantity, price, cost),
    state, NULL, name || ' is refused')
FROM (VALUES
    (2, '2025-11-14', 'charge', '1', '1', '1', '23505', 'a second first charge for a row'),
    (3, '2025-11-14', 'charge', '''NaN''', '1', '1', '23514', 'a quantity of NaN'),
    (3, '2025-11-14', 'charge', '1', '''NaN''', '1', '23514', 'a price of NaN'),
    (3, '2025-11-14', 'charge', '1', '-1', '1', '23514', 'a price below nothing'),
    (3, '2025-11-14', 'charge', '1', '1', '''NaN''', '23514', 'a cost of NaN'),
    (3, '2025-11-14', 'charge', '''Infinity''', '1', '1', '23514', 'a quantity without end'),
    (3, '2025-11-14', 'charge', '1', '1', '''Infinity''', '23514', 'a cost without end'),
    (3, '2025-11-14', 'reversal', '-1', '1', '''-Infinity''', '23514', 'a reversal without end'),
    (3, '2025-11-14', 'gift', '1', '1', '1', '23514', 'a kind that is none'),
    (3, 'infinity', 'charge', '1', '1', '1', '23514', 'a time that never comes')
) AS bad (source_id, occurred_at, kind, quantity, price, cost, state, name);

-- What a superuser might forge in the place of a row that is gone, sums and all, is refused or found out.
DELETE FROM calls WHERE id = 2;
CREATE FUNCTION pg_temp.is_found_out(p_source_id bigint, p_kind text, p_revision integer, p_minutes numeric)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_found boolean;
BEGIN
    INSERT INTO billing.usage_records (tenant_id, source_id, source_table, rate_id, occurred_at, usage_date, kind, revision,
        channel, resource_type, resource_id, quantity, seconds, unit_cost, total_cost, currency, billed_quantity)
    SELECT 7, p_source_id, 'calls', id, '2025-11-14', '2025-11-14', p_kind, p_revision,
        'voice', 'minute', 'x', p_minutes, p_minutes * 60, 0.015, p_minutes * 0.015, 'USD', p_minutes
    FROM billing.pricing_rates
    WHERE channel = 'voice';
    INSERT INTO billing.usage_deltas (tenant_id, summary_date, record_count, channel, resource_type, total_quantity, billed, total_cost)
    VALUES (7, '2025-11-14', CASE p_kind WHEN 'charge' THEN 1 ELSE -1 END, 'voice', 'minute', p_minutes, p_minutes * 60, p_minutes * 0.015);
    v_found := EXISTS (SELECT FROM billing.verify());
    RAISE SQLSTATE 'P0999';
EXCEPTION
    WHEN check_violation THEN
        RETURN true;
    WHEN SQLSTATE 'P0999' THEN
        RETURN v_found;
END;
$$;
SELECT is(pg_temp.is_found_out(source_id, kind, revision, minutes), expected, name)
FROM (VALUES
    (3, 'charge', 1, 1, false, 'a charge as it should be is not held against anybody'),
    (2, 'reversal', 2, -1, false, 'nor is its reversal'),
    (3, 'charge', 1, -1, true, 'a charge that takes away is found out'),
    (2, 'reversal', 2, 1, true, 'a reversal that adds is found out'),
    (2, 'reversal', 2, -2, true, 'a reversal of more than was charged is found out'),
    (2, 'charge', 2, 1, true, 'a charge where a reversal belongs is found out'),
    (3, 'reversal', 1, -1, true, 'a reversal where a charge belongs is found out'),
    (3, 'charge', 3, 1, true, 'a charge that skips a revision is found out')
) AS forged (source_id, kind, revision, minutes, expected, name);
INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)
VALUES (2, 7, '+15559876543', 'completed', '2025-11-14 10:00:00+00', 60);

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
