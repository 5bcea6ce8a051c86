-- A snapshot that is older than a recording by hand does not see it: charges by their rows leave a mark where the two meet.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT plan(21);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

CREATE FUNCTION pg_temp.marks() RETURNS text
LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', d.tenant_id, d.channel, d.resource_type, d.resource_id, r.source_table, r.source_id, r.part, r.revision, d.usage_date),
        ', ' ORDER BY d.tenant_id, d.resource_id)
    FROM billing.direct_usage AS d
    INNER JOIN billing.usage_records AS r ON r.id = d.record_id AND r.created_at = d.created_at AND r.usage_date = d.usage_date
    WHERE d.reversed_at IS NOT NULL AND d.resource_id NOT LIKE 'many%' $$;

-- One row, then many in one statement.
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at)
SELECT n, 7, CASE WHEN n > 100 THEN 'many ' || n ELSE 'CA' || n END, '+15559876543', 'in-progress', '2025-11-14 10:00:00+00'
FROM generate_series(1, 120) AS n
WHERE n <= 5 OR n > 100;
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = 1;
SELECT is(pg_temp.marks(), '7 voice minute CA1 calls 1 1 1 2025-11-14', 'a charge by its row is marked');
SELECT is(
    record_usage(7, 'voice', 'minute', 'CA1', 1), (SELECT id FROM usage_records WHERE source_id = 1), 'and found when it is recorded by hand');
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id > 100;
SELECT is(
    (SELECT count(*) FROM direct_usage WHERE resource_id LIKE 'many%' AND reversed_at IS NOT NULL), 20::bigint,
    'so is each of many');
SELECT is((SELECT count(*) FROM usage_records WHERE source_id > 100), 20::bigint, 'which are billed');

-- The mark is that of the charge, among others like it.
SELECT is(
    record_difference('near', 1, ARRAY[
        (1, 1, 7, 'voice', 'minute', 'R', 60, NULL, '2025-11-14 10:00:00+00')::measurement, (1, 2, 7, 'voice', 'minute', 'R', 60, NULL, '2025-11-14 10:00:00+00')::measurement,
        (1, 1, 8, 'voice', 'minute', 'R', 60, NULL, '2025-11-14 10:00:00+00')::measurement, (1, 1, 7, 'sms', 'message', 'R', 1, NULL, '2025-11-15 10:00:00+00')::measurement])
    + record_difference('far', 1, ARRAY[(1, 1, 7, 'voice', 'minute', 'R', 60, NULL, '2025-11-14 10:00:00+00')::measurement])
    + record_difference('near', 2, ARRAY[(2, 1, 7, 'voice', 'minute', 'R', 60, NULL, '2025-11-14 10:00:00+00')::measurement])
    + record_difference('near', 1, ARRAY[(1, 1, 7, 'voice', 'minute', 'R', 120, NULL, '2025-11-14 10:00:00+00')::measurement]),
    11, 'charges that differ in one thing');
SELECT is(pg_temp.marks(), '7 voice minute CA1 calls 1 1 1 2025-11-14', 'nothing is marked where nothing was before');
SELECT claim_resource('near', 1, 1::smallint, 7, 'voice', 'minute', 'R', '2025-11-14') \g /dev/null
SELECT is(pg_temp.marks(), '7 voice minute CA1 calls 1 1 1 2025-11-14, 7 voice minute R near 1 1 1 2025-11-14', 'the first of its chain is marked');
SELECT lives_ok($$SELECT claim_resource('far', 1, 1::smallint, 7, 'voice', 'minute', 'R', '2025-11-14')$$, 'a resource that is marked');
SELECT is(pg_temp.marks(), '7 voice minute CA1 calls 1 1 1 2025-11-14, 7 voice minute R near 1 1 1 2025-11-14', 'stays as it is');
DELETE FROM direct_usage WHERE resource_id = 'R';

-- What a row was worth before this statement, and has no record that is seen, is written down first.
SELECT is(
    record_difference('near', 3,
        ARRAY[(3, 1, 7, 'voice', 'minute', 'S', 120, NULL, '2025-11-14 10:00:00+00')::measurement],
        ARRAY[(3, 1, 7, 'voice', 'minute', 'S', 60, NULL, '2025-11-14 10:00:00+00')::measurement]), 2,
    'a correction of what was not recorded');
SELECT is(pg_temp.story('near', 3), 'charge 0.015, reversal -0.015, charge 0.03', 'writes down first what it was worth before');
SELECT is(
    pg_temp.marks(), '7 voice minute CA1 calls 1 1 1 2025-11-14, 7 voice minute S near 3 1 1 2025-11-14', 'and marks it');
SELECT is(
    record_difference('near', 3,
        ARRAY[(3, 1, 7, 'voice', 'minute', 'S', 180, NULL, '2025-11-14 10:00:00+00')::measurement],
        ARRAY[(3, 1, 7, 'voice', 'minute', 'S', 60, NULL, '2025-11-14 10:00:00+00')::measurement]), 2,
    'what has a record that is seen');
SELECT is(
    pg_temp.story('near', 3), 'charge 0.015, reversal -0.015, charge 0.03, reversal -0.03, charge 0.045', 'is corrected from there');

-- By hand first.
SELECT lives_ok($$SELECT record_usage(7, 'voice', 'minute', 'CA2', 1, '{}', '2025-11-14')$$, 'a call recorded by hand');
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = 2;
SELECT is(pg_temp.story('calls', 2), NULL, 'is not billed by its row');

-- Who meets a record that he does not see is told to try again; what else fails is set aside at once, for a second look sees no more.
CREATE FUNCTION pg_temp.fail(p_state text) RETURNS integer
LANGUAGE plpgsql AS $$ BEGIN RAISE 'no luck' USING ERRCODE = p_state; END $$;
SELECT set_config('t.state', '23505', true) \g /dev/null
CREATE OR REPLACE FUNCTION billing.record_difference(
    p_source_table text, p_source_id bigint, p_deserved measurement[], p_before measurement[] DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql AS $$ BEGIN RETURN pg_temp.fail(current_setting('t.state')); END $$;
CREATE OR REPLACE FUNCTION billing.record_rows(p_source_table text, p_source_ids bigint[])
RETURNS TABLE (scanned bigint, deserving bigint, recorded bigint)
LANGUAGE plpgsql AS $$ BEGIN RAISE 'not asked' USING ERRCODE = 'UBXXX'; END $$;
SELECT throws_ok('UPDATE calls SET duration_seconds = 120 WHERE id = 1', '40001', NULL, 'a record that is there unseen means to try again');
SELECT set_config('t.state', '22003', true) \g /dev/null
SELECT lives_ok('UPDATE calls SET duration_seconds = 120 WHERE id = 1', 'another error is none of the application''s');
SELECT is(pg_temp.waits_for('calls', 1), '22003', 'and is set aside');
SELECT lives_ok($$SELECT record_or_set_aside('calls', '{3,4}', '22000', 'together', NULL)$$, 'rows whose trigger failed');
SELECT is(pg_temp.waits_for('calls', 3) || pg_temp.waits_for('calls', 4), '2200022000', 'are set aside as well, without another try');

SELECT * FROM finish();
ROLLBACK;
