DROP FUNCTION IF EXISTS billing.list_period_usage;
DROP TABLE billing.alert_deliveries;
DROP TABLE billing.alert_targets;
DROP TABLE billing.alerts;
DROP TABLE billing.alert_checks;
DROP TABLE billing.alert_thresholds;
DROP TABLE billing.reservations;
DROP TABLE billing.credit_accounts;
DROP TABLE billing.tenant_limits;
DROP TABLE billing.included_grants;
DROP TABLE billing.credit_expiries;
DROP FUNCTION IF EXISTS billing.grant_credit;
DROP TABLE billing.credit_uses;
ALTER TABLE billing.credit_entries
    DROP CONSTRAINT credit_entries_an_expiry_has_its_lot,
    DROP CONSTRAINT credit_entries_expires_at_is_finite,
    DROP COLUMN lot_id,
    DROP COLUMN valid_from,
    DROP COLUMN priority;
DROP INDEX billing.credit_entries_expires_at_idx;
