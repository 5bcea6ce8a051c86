-- operate: gives each month that a backfill will write to a partition of its own.
CREATE OR REPLACE FUNCTION billing.ensure_used_partitions(p_from date, p_to date)
RETURNS integer
LANGUAGE plpgsql
SET lock_timeout = '2s'
AS $$
DECLARE
    v_months date[];
BEGIN
    -- A partition for each month that could be would be one for every reader to lock. The tables are read before that.
    v_months := ARRAY(
        -- A day in UTC is of two months where zones differ.
        SELECT DISTINCT billing.month_of(d.day + n.days)
        FROM billing.metered_tables AS t
        CROSS JOIN LATERAL billing.day_ids(t.source_table, p_from, p_to) AS d
        CROSS JOIN (VALUES (-1), (1)) AS n (days)
        WHERE billing.is_readable(t.source_table)
            AND d.day IS NOT NULL
        ORDER BY 1
    );
    RETURN (
        SELECT count(*)
        FROM unnest(v_months) AS m
        WHERE m >= billing.month_of(p_from)
            AND m <= p_to
            AND billing.ensure_partition(m)
    );
END;
$$;

COMMENT ON FUNCTION billing.ensure_used_partitions IS
'ensure_partition for each month from p_from to p_to in which rows of metered tables occurred; how many were made. Reads the tables
once. In a transaction of its own: attaching a partition holds a lock that readers wait for until it ends.';
