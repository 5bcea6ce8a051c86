-- Where pg_cron is, maintain() is scheduled by one call; where it is not, that call says so.
BEGIN;
SELECT plan(5);
\ir fixtures/tenants.sql

SELECT throws_ok('SELECT schedule_maintain()', 'UB018', NULL, 'without pg_cron nothing is scheduled');

-- A stand-in with the function that pg_cron has since 1.4.
CREATE SCHEMA cron;
CREATE TABLE cron.job (jobid bigint GENERATED ALWAYS AS IDENTITY, jobname text UNIQUE, schedule text, command text);
CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO cron.job (jobname, schedule, command) VALUES ($1, $2, $3)
    ON CONFLICT (jobname) DO UPDATE SET schedule = EXCLUDED.schedule, command = EXCLUDED.command
    RETURNING jobid
$$;
SELECT is(schedule_maintain(), 1::bigint, 'with it the job is made');
SELECT is(schedule_maintain('10 seconds'), 1::bigint, 'and made over by the same call');
SELECT results_eq('SELECT jobname, schedule FROM cron.job', $$VALUES ('billing.maintain', '10 seconds')$$, 'there is one job, by the new schedule');
-- pg_cron runs it with the role's own search_path.
SET LOCAL search_path = pg_catalog, tap;
SELECT command FROM cron.job
\gset
SELECT tap.lives_ok(:'command', 'what it runs is maintain(), wherever it looks for names');
SET LOCAL search_path = billing, public, tap;

SELECT * FROM finish();
ROLLBACK;
