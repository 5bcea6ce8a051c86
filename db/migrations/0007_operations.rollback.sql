DROP FUNCTION IF EXISTS billing.verify(date, date);
DROP TYPE billing.row_difference;
ALTER TABLE billing.unrated_usage DROP COLUMN announced_at;
DROP TABLE billing.task_runs;
ALTER TABLE billing.usage_deltas REPLICA IDENTITY DEFAULT;
