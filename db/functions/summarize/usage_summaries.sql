-- summarize: the daily sums, exact in every snapshot.
CREATE OR REPLACE VIEW billing.usage_summaries WITH (security_invoker = true) AS
SELECT
    tenant_id,
    summary_date,
    channel,
    resource_type,
    sum(total_quantity) AS total_quantity,
    sum(total_cost) AS total_cost,
    sum(record_count)::bigint AS record_count
FROM billing.daily_sums
GROUP BY tenant_id, summary_date, channel, resource_type;

COMMENT ON VIEW billing.usage_summaries IS
'Usage per tenant, day, channel and resource: always the sum of the usage_records that the same snapshot sees.';
COMMENT ON COLUMN billing.usage_summaries.tenant_id IS 'Whose usage.';
COMMENT ON COLUMN billing.usage_summaries.summary_date IS 'Day in the tenant''s time zone.';
COMMENT ON COLUMN billing.usage_summaries.channel IS 'voice, sms, email, whatsapp, social, ...';
COMMENT ON COLUMN billing.usage_summaries.resource_type IS 'minute, message, mms, ...';
COMMENT ON COLUMN billing.usage_summaries.total_quantity IS 'Exact sum, in units of the resource.';
COMMENT ON COLUMN billing.usage_summaries.total_cost IS
'Exact sum, major units of the tenant''s currency. What a price of the whole period costs is not in it: no day costs that
by itself, get_current_period_usage and get_usage_history say it.';
COMMENT ON COLUMN billing.usage_summaries.record_count IS 'Charges minus reversals.';
