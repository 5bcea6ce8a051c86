-- operate: gives each month of a range a partition of its own.
CREATE OR REPLACE FUNCTION billing.ensure_partitions(p_from date, p_to date)
RETURNS integer
LANGUAGE sql
SET lock_timeout = '2s'
AS $$
    SELECT count(*)::integer
    FROM generate_series(
        date_trunc('month', CASE WHEN p_from BETWEEN '0001-01-01' AND '9999-12-31' THEN p_from END::timestamp),
        CASE WHEN p_to BETWEEN '0001-01-01' AND '9999-12-31' THEN p_to END::timestamp,
        interval '1 month'
    ) AS month
    WHERE billing.ensure_partition(month::date);
$$;

COMMENT ON FUNCTION billing.ensure_partitions IS
'ensure_partition for each month from p_from to p_to; how many were made. Before a backfill, in a transaction of its own:
attaching a partition holds a lock that readers wait for until the transaction ends.';
