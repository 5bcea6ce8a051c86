-- operate: has pg_cron call maintain().
CREATE OR REPLACE FUNCTION billing.schedule_maintain(p_schedule text DEFAULT '* * * * *')
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_job_id bigint;
BEGIN
    IF to_regprocedure('cron.schedule(text, text, text)') IS NULL THEN
        RAISE EXCEPTION 'pg_cron is not in this database'
            USING ERRCODE = 'UB018',
                DETAIL = 'There is no function cron.schedule(text, text, text).',
                HINT = 'CREATE EXTENSION pg_cron in the database that cron.database_name names; or let any other scheduler run'
                    ' irisx-usage maintain, or SELECT billing.maintain().';
    END IF;
    -- By name: scheduled again, the job changes.
    EXECUTE 'SELECT cron.schedule($1, $2, $3)'
    INTO v_job_id
    USING 'billing.maintain', p_schedule, 'SELECT FROM billing.maintain()';
    RETURN v_job_id;
END;
$$;

COMMENT ON FUNCTION billing.schedule_maintain IS
'Has pg_cron call billing.maintain() in this database, as the current role, by p_schedule (cron''s five fields, or
''10 seconds''); the number of its job billing.maintain. Again: the same job, by the new schedule. SELECT
cron.unschedule(''billing.maintain'') ends it. Raises UB018 where pg_cron is not.';
