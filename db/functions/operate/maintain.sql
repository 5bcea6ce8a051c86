-- operate: one bounded round of housekeeping.
CREATE OR REPLACE FUNCTION billing.maintain()
RETURNS TABLE (task text, done bigint, is_more boolean)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    v_started_at timestamptz := clock_timestamp();
    v_left bigint := 50000;
    v_month date;
    v_records bigint;
BEGIN
    -- Each task has a limit of its own, so that none keeps the others waiting, and what one of them cannot lock is for
    -- the next round: the rest of this one counts.
    -- First, while it holds nothing that others wait for: a large month takes a while to read.
    task := 'records sealed';
    BEGIN
        done := billing.seal(100000, interval '1 hour');
    EXCEPTION
        WHEN lock_not_available THEN
            done := 0;
    END;
    is_more := done >= 100000;
    RETURN NEXT;

    task := 'deltas merged';
    done := billing.merge_summaries(100000);
    is_more := done = 100000;
    RETURN NEXT;

    -- Attaching a partition holds a lock that readers of all months wait for until this ends, so it comes after what takes longest;
    -- and before what locks rows of the application (below). Where somebody has the table for longer, or usage came that an old
    -- snapshot does not see, it is for the next round.
    task := 'partitions made';
    BEGIN
        SELECT count(*)
        INTO done
        FROM generate_series(
            date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month',
            date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months',
            interval '1 month'
        ) AS month
        WHERE billing.ensure_partition(month::date, v_left);
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected OR check_violation THEN
            done := 0;
    END;
    is_more := false;
    RETURN NEXT;

    -- Usage of months nobody expected, as long as moving it takes a moment.
    task := 'months moved out of the default partition';
    done := 0;
    BEGIN
        FOR v_month IN SELECT m FROM billing.list_default_months() AS m LOOP
            -- Each has the table to itself, and the longer the more partitions there are.
            EXIT WHEN done = 3;
            SELECT count(*)
            INTO v_records
            FROM (
                SELECT
                FROM billing.usage_records_default AS d
                WHERE d.usage_date >= v_month
                    AND d.usage_date < (v_month + interval '1 month')::date
                LIMIT v_left + 1
            ) AS early;
            IF billing.ensure_partition(v_month, v_left) THEN
                done := done + 1;
                v_left := v_left - v_records;
            END IF;
        END LOOP;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected OR check_violation THEN
            done := 0;
    END;
    is_more := done > 0;
    RETURN NEXT;

    -- From here on rows are held until the end that others may wait for, and so nothing waits for a table any more: who waits for
    -- such a row may hold it.
    task := 'unrated rows settled';
    BEGIN
        SELECT r.resolved, r.resolved > 0 AND r.tried = 200 INTO done, is_more FROM billing.retry_unrated(200) AS r;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            done := 0;
            is_more := false;
    END;
    RETURN NEXT;

    task := 'invoices overdue';
    done := billing.mark_overdue();
    RETURN NEXT;

    -- Rows of tenants: few at a time, and none that somebody else holds.
    task := 'expiries entered';
    done := billing.expire_due_credit(500);
    is_more := done = 500;
    RETURN NEXT;

    task := 'included credits granted';
    done := billing.grant_due_credits(500);
    is_more := done = 500;
    RETURN NEXT;

    task := 'alerts raised';
    done := billing.raise_alerts(1000);
    is_more := done = 1000;
    RETURN NEXT;

    -- After all that may wait, for who changes such a row meanwhile would wait for its entry.
    task := 'unrated rows announced';
    done := billing.announce_unrated(1000);
    is_more := done = 1000;
    RETURN NEXT;

    -- Once an hour: it reads tables that stay small by it.
    task := 'rows expired';
    done := 0;
    is_more := false;
    IF (SELECT COALESCE(r.finished_at < now() - interval '1 hour', true) FROM billing.task_runs AS r WHERE r.task = 'expire') THEN
        BEGIN
            SELECT COALESCE(sum(e.done), 0), COALESCE(bool_or(e.is_more), false)
            INTO done, is_more
            FROM billing.expire_data() AS e;
            IF NOT is_more THEN
                PERFORM billing.note_run('expire', v_started_at, p_found => done);
            END IF;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                is_more := false;
        END;
    END IF;
    RETURN NEXT;
    PERFORM billing.note_run('maintain', v_started_at);
END;
$$;

COMMENT ON FUNCTION billing.maintain IS
'Seals what was written, makes partitions ahead, merges summaries, retries what was set aside and announces what stays so (announce_unrated), enters
expiries and included credit, raises alerts, deletes what retention says: bounded, safe at any time and in parallel, from any scheduler. done: how many;
is_more: the limit of the round was reached, another may follow at once. If nobody calls it nothing recorded becomes wrong.';
