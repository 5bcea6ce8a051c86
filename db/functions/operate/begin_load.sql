-- operate: takes a month without records aside, to fill it as a table of its own.
CREATE OR REPLACE FUNCTION billing.begin_load(p_month date, p_ranges jsonb)
RETURNS boolean
LANGUAGE plpgsql
SET lock_timeout = '2s'
AS $$
DECLARE
    v_month date := billing.month_of(p_month);
    v_until date := (v_month + interval '1 month')::date;
    v_name text := format('usage_records_%s', to_char(v_month, 'YYYY_MM'));
    v_is_used boolean;
BEGIN
    IF EXISTS (SELECT FROM billing.month_loads WHERE month = v_month) THEN
        RETURN true;
    END IF;
    -- Whoever is writing now is waited for below, and must be seen then.
    IF current_setting('transaction_isolation') <> 'read committed'
        -- As detach_closed_month: later, somebody would still be writing to it.
        OR now() < v_until::timestamp AT TIME ZONE 'UTC' + interval '12 hours'
        OR EXISTS (SELECT FROM billing.detached_months WHERE month = v_month)
    THEN
        RETURN false;
    END IF;

    PERFORM pg_advisory_xact_lock(hashtextextended('billing.ensure_partition', 0));
    -- Waits for whoever is writing just now, and with it for what he writes.
    IF to_regclass('billing.' || v_name) IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM billing.%I)', v_name) INTO v_is_used;
        IF v_is_used THEN
            RETURN false;
        END IF;
        PERFORM billing.detach_month(v_month);
        EXECUTE format('SELECT EXISTS (SELECT FROM billing.%I)', v_name) INTO v_is_used;
        IF v_is_used THEN
            PERFORM billing.attach_month(v_month);
            RETURN false;
        END IF;
        EXECUTE format('DROP TABLE billing.%I', v_name);
    ELSE
        INSERT INTO billing.detached_months (month, table_name) VALUES (v_month, v_name);
    END IF;
    LOCK TABLE billing.usage_records_default IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM billing.usage_records_default WHERE usage_date >= v_month AND usage_date < v_until) THEN
        DELETE FROM billing.detached_months WHERE month = v_month;
        RETURN false;
    END IF;

    PERFORM billing.create_month_table(v_month);
    INSERT INTO billing.month_loads (month, source_table, until_id, last_id)
    SELECT v_month, t.source_table, (p_ranges -> t.source_table ->> 0)::bigint - 1, (p_ranges -> t.source_table ->> 1)::bigint
    FROM billing.metered_tables AS t
    WHERE p_ranges ? t.source_table;
    IF NOT FOUND THEN
        -- There is nothing to load.
        EXECUTE format('DROP TABLE billing.%I', v_name);
        DELETE FROM billing.detached_months WHERE month = v_month;
        RETURN false;
    END IF;
    RETURN true;
EXCEPTION
    WHEN lock_not_available THEN
        RETURN false;
END;
$$;

COMMENT ON FUNCTION billing.begin_load IS
'true when p_month can be loaded, and is being loaded from now on: it is over, and nothing is recorded of it yet. It stands in
detached_months until finish_load, so that usage of it which somebody changes meanwhile is set aside (UB006) and retried then.
p_ranges: for each metered table with rows of that month their lowest and highest id, {"calls": [1, 99]}, as day_ids has
found them. false: the ordinary backfill is for it, also when somebody has usage_records locked for more than two seconds, or the transaction is
not READ COMMITTED.';
