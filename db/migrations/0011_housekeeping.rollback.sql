-- What stands in files only would be forgotten with the table: bring it back first.
DO $$
BEGIN
    IF EXISTS (SELECT FROM billing.detached_months WHERE dropped_at IS NOT NULL) THEN
        RAISE EXCEPTION 'months are archived'
            USING DETAIL = 'billing.detached_months names them.',
                HINT = 'Restore them first: irisx-usage restore FILE.';
    END IF;
END;
$$;
DROP TABLE billing.month_loads;
DROP TABLE billing.archives;
ALTER TABLE billing.detached_months DROP COLUMN dropped_at;
DROP FUNCTION IF EXISTS billing.ensure_partition(date, bigint);
DROP FUNCTION IF EXISTS billing.maintain();
DROP INDEX billing.unrated_usage_announce_idx;
DROP INDEX billing.unrated_usage_retry_idx;
DROP INDEX billing.usage_records_default_date_idx;
