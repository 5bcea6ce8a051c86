DELETE FROM billing.task_runs WHERE task = 'expire';
DROP TABLE IF EXISTS billing.retention, billing.forgotten_subjects, billing.privacy_key CASCADE;
