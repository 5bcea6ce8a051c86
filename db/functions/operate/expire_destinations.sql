-- operate: erases whom usage went to, in months that are past retention.
CREATE OR REPLACE FUNCTION billing.expire_destinations(p_blocks bigint DEFAULT 16384)
RETURNS TABLE (done bigint, is_more boolean)
LANGUAGE plpgsql
AS $$
DECLARE
    v_kept billing.retention;
    v_until date;
    v_month record;
    v_left bigint := p_blocks;
    v_from bigint;
    v_to bigint;
BEGIN
    done := 0;
    is_more := false;
    SELECT * INTO v_kept FROM billing.retention AS k WHERE k.table_name = 'usage_records' FOR UPDATE SKIP LOCKED;
    v_until := date_trunc('month', now() AT TIME ZONE 'UTC' - v_kept.keep)::date;
    -- With each month that is over those before it are looked through once more, for what came late.
    IF v_kept.keep IS NULL OR v_until <= v_kept.done_until
        -- Somebody is just being forgotten: rows move.
        OR NOT pg_try_advisory_xact_lock(hashtextextended('billing.forget_subject', 0))
    THEN
        RETURN NEXT;
        RETURN;
    END IF;
    FOR v_month IN
        SELECT c.oid::regclass AS relation, c.relname, pg_relation_size(c.oid) / current_setting('block_size')::bigint AS blocks
        FROM pg_inherits AS i
        INNER JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'billing.usage_records'::regclass
            AND c.relname ~ '^usage_records_[0-9]{4}_[0-9]{2}$'
            AND to_date(right(c.relname, 7), 'YYYY_MM') < v_until
            AND c.relname >= COALESCE(v_kept.at_table, '')
        ORDER BY c.relname
    LOOP
        v_from := CASE WHEN v_month.relname = v_kept.at_table THEN v_kept.at_block ELSE 0 END;
        v_to := v_from + LEAST(v_left, GREATEST(v_month.blocks - v_from, 0));
        done := done + billing.erase_destinations(v_month.relation, v_from, v_to);
        v_left := v_left - (v_to - v_from);
        is_more := v_to < v_month.blocks;
        IF is_more THEN
            UPDATE billing.retention SET at_table = v_month.relname, at_block = v_to WHERE table_name = 'usage_records';
            RETURN NEXT;
            RETURN;
        END IF;
    END LOOP;
    UPDATE billing.retention SET at_table = NULL, at_block = 0, done_until = v_until WHERE table_name = 'usage_records';
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.expire_destinations IS
'erase_destinations for the months that ended longer ago than retention.keep of usage_records, at most p_blocks blocks of them: how
many records were changed, and whether the next call goes on. Months that are detached are left alone.';
