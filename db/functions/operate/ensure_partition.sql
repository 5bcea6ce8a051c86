-- operate: gives a month of usage_records a partition of its own.
CREATE OR REPLACE FUNCTION billing.ensure_partition(p_month date, p_limit bigint DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql
-- While this waits for a reader, all readers wait for it.
SET lock_timeout = '2s'
AS $$
DECLARE
    v_from date := billing.month_of(p_month);
    v_until date := (v_from + interval '1 month')::date;
    v_name text := format('usage_records_%s', to_char(v_from, 'YYYY_MM'));
    v_early bigint;
BEGIN
    -- Beyond the calendars that names of tables tell apart, usage stays in the default partition.
    IF v_from IS NULL OR p_limit < 0 THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('billing.ensure_partition', 0));
    IF to_regclass('billing.' || v_name) IS NOT NULL
        OR EXISTS (SELECT FROM billing.detached_months WHERE month = v_from)
    THEN
        RETURN false;
    END IF;
    SELECT count(*)
    INTO v_early
    FROM (
        SELECT
        FROM billing.usage_records_default
        WHERE usage_date >= v_from
            AND usage_date < v_until
        LIMIT LEAST(p_limit, 9223372036854775806) + 1
    ) AS early;
    IF v_early > p_limit THEN
        RETURN false;
    END IF;

    PERFORM billing.create_month_table(v_from);
    PERFORM billing.index_month_table(v_name);
    IF v_early = 0 THEN
        -- Readers of all months wait for this for a moment: commit soon.
        EXECUTE format(
            'ALTER TABLE billing.usage_records ATTACH PARTITION billing.%I FOR VALUES FROM (%L) TO (%L)',
            v_name, v_from, v_until
        );
        RETURN true;
    END IF;

    -- Usage came before its partition: move it, with the table held for as long as that takes.
    LOCK TABLE billing.usage_records IN ACCESS EXCLUSIVE MODE;
    ALTER TABLE billing.usage_records DETACH PARTITION billing.usage_records_default;
    EXECUTE format(
        'WITH moved AS (
            DELETE FROM billing.usage_records_default WHERE usage_date >= %L AND usage_date < %L RETURNING *
        )
        INSERT INTO billing.%I SELECT * FROM moved',
        v_from, v_until, v_name
    );
    EXECUTE format(
        'ALTER TABLE billing.usage_records ATTACH PARTITION billing.%I FOR VALUES FROM (%L) TO (%L)',
        v_name, v_from, v_until
    );
    ALTER TABLE billing.usage_records ATTACH PARTITION billing.usage_records_default DEFAULT;
    RETURN true;
END;
$$;

COMMENT ON FUNCTION billing.ensure_partition IS
'Makes the partition for the month of p_month unless it is there; true when it was made. Usage of that month that came
earlier is moved out of the default partition, and nobody uses usage_records meanwhile; a month with more than p_limit
records there (NULL: whatever there is) is left as it is. So is a detached month. Waits 2 s for whoever uses the table.';
