DROP FUNCTION IF EXISTS billing.record_first_charge;
ALTER TABLE billing.tenant_terms DROP COLUMN looks_closer;
ALTER TABLE billing.resolved_prices DROP COLUMN is_plain;
