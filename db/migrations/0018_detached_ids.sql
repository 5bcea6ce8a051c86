-- operate: whose records a month took with it, for rows that do not say when they occurred.

ALTER TABLE billing.detached_months ADD COLUMN source_ids numrange NOT NULL DEFAULT 'empty';
COMMENT ON COLUMN billing.detached_months.source_ids IS
'From the lowest to the highest source_id of its records: a row of these without a time of its own may have been billed then.';
-- Of those that are away nobody has looked.
UPDATE billing.detached_months
SET source_ids = '(,)'
WHERE month NOT IN (SELECT month FROM billing.month_loads);
