-- operate: seals what was written since the last seals.
CREATE OR REPLACE FUNCTION billing.seal(p_limit bigint DEFAULT 100000, p_interval interval DEFAULT '0')
RETURNS bigint
LANGUAGE plpgsql
-- Nobody writes a seal himself.
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_left bigint := p_limit;
    v_batch bigint;
    v_is_all boolean;
    v_series record;
    v_seal billing.seals;
BEGIN
    -- One at a time, for each seal follows on the last; and whoever sees an older snapshot may not see the last. Neither waits.
    IF current_setting('transaction_isolation') <> 'read committed'
        OR NOT pg_try_advisory_xact_lock(hashtextextended('billing.seal', 0))
    THEN
        RETURN 0;
    END IF;
    FOR v_series IN
        SELECT s.series, s.month, i.inserted, l.is_large
        FROM billing.list_seal_series() AS s
        CROSS JOIN LATERAL pg_stat_get_tuples_inserted(s.table_name) AS i (inserted)
        CROSS JOIN LATERAL (SELECT pg_relation_size(s.table_name) > 100000000 AND p_interval > interval '0') AS l (is_large)
        LEFT JOIN billing.seal_rounds AS r ON r.series = s.series
        WHERE p_interval <= interval '0'
            OR r.series IS NULL
            -- Reading a large month takes a while.
            OR (r.inserted <> i.inserted AND r.looked_at < now() - p_interval * CASE WHEN l.is_large THEN 24 ELSE 1 END)
        ORDER BY r.looked_at NULLS FIRST, s.month DESC NULLS FIRST
    LOOP
        -- So seldom, then, that more of it is sealed.
        v_batch := CASE WHEN v_series.is_large THEN GREATEST(v_left, 1000000) ELSE v_left END;
        SELECT d.* INTO v_seal FROM billing.draw_seal(v_series.series, v_batch) AS d;
        v_is_all := COALESCE(v_seal.records, 0) < v_batch;
        IF v_seal.records IS NOT NULL THEN
            v_seal.month := v_series.month;
            v_seal.sealed_at := clock_timestamp();
            v_seal.id := COALESCE((SELECT max(s.id) FROM billing.seals AS s), 0) + 1;
            v_seal.chain_hash := billing.hash_seal((SELECT s.chain_hash FROM billing.seals AS s WHERE s.id = v_seal.id - 1), v_seal);
            INSERT INTO billing.seals VALUES (v_seal.*);
            v_left := v_left - v_seal.records;
        END IF;
        -- What is not sealed to its end is looked at again at once, but for a large month: the next day.
        IF v_is_all OR v_series.is_large THEN
            INSERT INTO billing.seal_rounds (series, looked_at, inserted)
            VALUES (v_series.series, now(), CASE WHEN v_is_all THEN v_series.inserted ELSE -1 END)
            ON CONFLICT (series) DO UPDATE SET looked_at = EXCLUDED.looked_at, inserted = EXCLUDED.inserted;
        END IF;
        EXIT WHEN v_left <= 0;
    END LOOP;
    RETURN p_limit - v_left;
END;
$$;

COMMENT ON FUNCTION billing.seal IS
'Seals up to p_limit records that no seal has (a transaction''s that ended late are not divided); how many. Less than p_limit: that was
all, or another is sealing, or the transaction is not READ COMMITTED. Reads each month once; p_interval: only those that have
something new and were not read for so long. Of a month above 100 MB, then read a day for an hour, up to 1,000,000 at a time.';
