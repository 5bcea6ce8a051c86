DROP TYPE billing.period_charge;
-- One sum a day again, whatever rate prices it.
INSERT INTO billing.usage_deltas (
    tenant_id, summary_date, record_count, channel, resource_type, total_quantity, total_cost
)
SELECT tenant_id, summary_date, record_count, channel, resource_type, total_quantity, total_cost
FROM billing.usage_sums
WHERE rate_id <> 0;
DELETE FROM billing.usage_sums WHERE rate_id <> 0;
ALTER TABLE billing.usage_sums
    DROP CONSTRAINT usage_sums_pkey,
    ADD CONSTRAINT usage_sums_pkey PRIMARY KEY (tenant_id, summary_date, channel, resource_type);
ALTER TABLE billing.usage_deltas DROP COLUMN billed, DROP COLUMN rate_id;
ALTER TABLE billing.usage_sums DROP COLUMN billed, DROP COLUMN rate_id;
ALTER TABLE billing.pricing_plans DROP COLUMN maximum_spend, DROP COLUMN minimum_spend;
DROP TABLE billing.plan_allowances;
ALTER TYPE billing.priced_usage DROP ATTRIBUTE period_rate_id;
ALTER TABLE billing.resolved_prices DROP COLUMN by_terms;
ALTER TABLE billing.pricing_rates DROP COLUMN calendar_id;
DROP INDEX billing.pricing_rates_period_priced_idx;
DROP TABLE billing.calendar_holidays;
DROP TABLE billing.calendar_bands;
DROP TABLE billing.calendars;
