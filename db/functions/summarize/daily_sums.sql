-- summarize: what the daily sums are made of, by the rate that prices a period.
CREATE OR REPLACE VIEW billing.daily_sums WITH (security_invoker = true) AS
SELECT
    tenant_id, summary_date, channel, resource_type, rate_id, total_quantity, billed, total_cost,
    record_count, changes
FROM billing.usage_sums
UNION ALL
SELECT
    tenant_id, summary_date, channel, resource_type, rate_id, total_quantity, billed, total_cost,
    record_count::bigint, changes::bigint
FROM billing.usage_deltas;

COMMENT ON VIEW billing.daily_sums IS
'usage_sums and usage_deltas together: several rows for one day, to be added up by who reads them. usage_summaries is the
same, added up over rates.';
COMMENT ON COLUMN billing.daily_sums.tenant_id IS 'Whose usage.';
COMMENT ON COLUMN billing.daily_sums.summary_date IS 'Day in the tenant''s time zone.';
COMMENT ON COLUMN billing.daily_sums.channel IS 'voice, sms, email, whatsapp, social, ...';
COMMENT ON COLUMN billing.daily_sums.resource_type IS 'minute, message, mms, ...';
COMMENT ON COLUMN billing.daily_sums.rate_id IS 'As usage_sums.rate_id: the rate that prices the period''s quantity, or 0.';
COMMENT ON COLUMN billing.daily_sums.total_quantity IS 'In units of the resource.';
COMMENT ON COLUMN billing.daily_sums.billed IS 'As usage_sums.billed: seconds for minutes, else units.';
COMMENT ON COLUMN billing.daily_sums.total_cost IS 'Major units of the tenant''s currency; 0 for what a period prices.';
COMMENT ON COLUMN billing.daily_sums.record_count IS 'Charges minus reversals.';
COMMENT ON COLUMN billing.daily_sums.changes IS 'As usage_sums.changes: added up over a day, it tells whether anything was recorded since.';
