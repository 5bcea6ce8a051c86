-- operate: remembers when a task of the operator last ran.
CREATE OR REPLACE FUNCTION billing.note_run(
    p_task text,
    p_started_at timestamptz,
    p_from date DEFAULT NULL,
    p_to date DEFAULT NULL,
    p_found bigint DEFAULT NULL
)
RETURNS void
LANGUAGE sql
AS $$
    -- Nobody waits to be remembered: another run of the same task is just noting itself.
    UPDATE billing.task_runs
    SET from_date = p_from, to_date = p_to, started_at = p_started_at, finished_at = clock_timestamp(), found = p_found
    WHERE task IN (SELECT r.task FROM billing.task_runs AS r WHERE r.task = p_task FOR UPDATE SKIP LOCKED);
$$;

COMMENT ON FUNCTION billing.note_run IS
'Enters in task_runs that p_task began at p_started_at and ends now; p_found as task_runs.found. Never waits.';
