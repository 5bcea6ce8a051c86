ALTER TABLE billing.detached_months DROP COLUMN source_ids;
