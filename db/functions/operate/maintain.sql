-- operate: one bounded round of housekeeping.
CREATE OR REPLACE FUNCTION billing.maintain()
RETURNS TABLE (task text, done bigint)
LANGUAGE plpgsql
SET lock_timeout = '2s'
AS $$
DECLARE
    v_started_at timestamptz := clock_timestamp();
BEGIN
    task := 'deltas merged';
    done := billing.merge_summaries(50000);
    RETURN NEXT;

    task := 'unrated rows settled';
    SELECT r.resolved INTO done FROM billing.retry_unrated(200) AS r;
    RETURN NEXT;

    -- Last, for attaching a partition holds a lock that readers of all months wait for until this ends.
    -- Where somebody has the table for longer, or usage came that an old snapshot does not see, it is for the next round,
    -- and the rest of this one counts.
    task := 'partitions made';
    BEGIN
        SELECT count(*)
        INTO done
        FROM generate_series(
            date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month',
            date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months',
            interval '1 month'
        ) AS month
        WHERE billing.ensure_partition(month::date);
    EXCEPTION
        WHEN lock_not_available OR check_violation THEN
            done := 0;
    END;
    RETURN NEXT;

    -- Usage of months nobody expected, at most a year's worth in a round.
    task := 'months moved out of the default partition';
    BEGIN
        SELECT count(*)
        INTO done
        FROM (
            SELECT DISTINCT date_trunc('month', usage_date::timestamp) AS month
            FROM billing.usage_records_default
            WHERE usage_date BETWEEN '1970-01-01' AND (now() + interval '2 years')::date
            ORDER BY month
            LIMIT 12
        ) AS late
        WHERE billing.ensure_partition(late.month::date);
    EXCEPTION
        WHEN lock_not_available OR check_violation THEN
            done := 0;
    END;
    RETURN NEXT;

    -- After all that may wait, for who changes such a row meanwhile would wait for its entry.
    task := 'unrated rows announced';
    done := billing.announce_unrated();
    RETURN NEXT;
    PERFORM billing.note_run('maintain', v_started_at);
END;
$$;

COMMENT ON FUNCTION billing.maintain IS
'Makes partitions ahead, merges summaries, retries what was set aside and announces what stays so (announce_unrated):
bounded, safe at any time and in parallel, from any scheduler. If nobody calls it nothing becomes wrong.';
