DROP FUNCTION IF EXISTS billing.ensure_partition(date, bigint);
DROP FUNCTION IF EXISTS billing.maintain();
DROP INDEX billing.unrated_usage_announce_idx;
DROP INDEX billing.unrated_usage_retry_idx;
DROP INDEX billing.usage_records_default_date_idx;
