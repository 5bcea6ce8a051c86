DROP TABLE billing.seal_rounds;
DROP TABLE billing.seals;
DROP TABLE billing.audit_log;
ALTER TABLE billing.credit_entries DROP COLUMN xact;
