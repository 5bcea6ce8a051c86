-- operate: when the housekeeping last ran, and what was announced.

-- A row for each task, written over each time: whoever finds it locked leaves it to the other.
CREATE TABLE billing.task_runs (
    task text NOT NULL CONSTRAINT task_runs_pkey PRIMARY KEY,
    from_date date,
    to_date date,
    started_at timestamptz,
    finished_at timestamptz,
    found bigint
) WITH (fillfactor = 50);
INSERT INTO billing.task_runs (task)
VALUES ('maintain'), ('backfill'), ('reconcile'), ('verify'), ('verify window');
COMMENT ON TABLE billing.task_runs IS 'When each task of the operator last ran to its end; usage_health shows it.';
COMMENT ON COLUMN billing.task_runs.task IS 'maintain, backfill, reconcile, verify (all of it), verify window (some days).';
COMMENT ON COLUMN billing.task_runs.from_date IS 'First day that it looked at; NULL: no days were given.';
COMMENT ON COLUMN billing.task_runs.to_date IS 'Last day, included.';
COMMENT ON COLUMN billing.task_runs.started_at IS 'When it began; NULL: it never ran.';
COMMENT ON COLUMN billing.task_runs.finished_at IS 'When it ended.';
COMMENT ON COLUMN billing.task_runs.found IS
'verify: violations; backfill and reconcile: records written; maintain: NULL.';

ALTER TABLE billing.unrated_usage ADD COLUMN announced_at timestamptz;
COMMENT ON COLUMN billing.unrated_usage.announced_at IS
'When announce_unrated told of it on channel billing_unrated; NULL: not yet, or it was resolved before.';

-- What the sweep and verify() find out about a row.
CREATE TYPE billing.row_difference AS (
    source_id bigint,
    is_deserving boolean,
    differs boolean,
    is_moved boolean,
    detail text
);
COMMENT ON TYPE billing.row_difference IS
'A source row of some days. is_deserving: it deserves a charge then. differs: what is recorded is not what it deserves;
detail says how. is_moved: its time is another than recorded, on the same day.';

-- It has no key. Published, merge_summaries could not delete from it otherwise.
ALTER TABLE billing.usage_deltas REPLICA IDENTITY FULL;

-- verify gets arguments. Functions are loaded anew after the migrations.
DROP FUNCTION IF EXISTS billing.verify();
