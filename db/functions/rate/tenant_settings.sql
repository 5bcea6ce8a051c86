-- rate: the tenants that one may see, for people and reports.
CREATE OR REPLACE VIEW billing.tenant_settings WITH (security_invoker = true) AS
SELECT tenant_id, name, plan_id, timezone, currency, billing_cycle_day, credit_balance
FROM billing.read_tenants();

COMMENT ON VIEW billing.tenant_settings IS
'What billing knows of each tenant that the asking role may see, without a right to the application''s own table. For one
tenant read_tenants(id) is faster.';
COMMENT ON COLUMN billing.tenant_settings.tenant_id IS 'tenants.id.';
COMMENT ON COLUMN billing.tenant_settings.name IS 'tenants.company_name, or name; NULL: not known.';
COMMENT ON COLUMN billing.tenant_settings.plan_id IS 'pricing_plans.id; NULL: on no plan.';
COMMENT ON COLUMN billing.tenant_settings.timezone IS 'The zone that decides on days; UTC where the tenant leaves it open.';
COMMENT ON COLUMN billing.tenant_settings.currency IS 'ISO 4217; USD where the tenant leaves it open.';
COMMENT ON COLUMN billing.tenant_settings.billing_cycle_day IS 'Day of the month on which periods begin, 1 to 31.';
COMMENT ON COLUMN billing.tenant_settings.credit_balance IS 'Sum of credit entries, major units of currency.';
