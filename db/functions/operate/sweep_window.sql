-- operate: the sweep over all metered tables, in one transaction.
CREATE OR REPLACE FUNCTION billing.sweep_window(p_from date, p_to date, p_with_history boolean, p_wait boolean)
RETURNS TABLE (source_table text, scanned bigint, deserving bigint, recorded bigint, unrated bigint, busy bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    v_range record;
    v_batch record;
    v_busy bigint[];
    v_id bigint;
BEGIN
    IF (p_from <= p_to AND p_from >= '0001-01-01' AND p_to <= '9999-12-31') IS NOT TRUE THEN
        RAISE EXCEPTION 'bad range of days'
            USING ERRCODE = 'UB012',
                DETAIL = format('From %s to %s.', p_from, p_to),
                HINT = 'p_from is not after p_to; both are included.';
    END IF;
    FOR source_table IN SELECT t.source_table FROM billing.metered_tables AS t ORDER BY t.source_table LOOP
        CONTINUE WHEN NOT billing.is_readable(source_table);
        scanned := 0;
        deserving := 0;
        recorded := 0;
        unrated := 0;
        v_busy := '{}';
        -- The lowest bigint has none before it.
        SELECT GREATEST(r.first_id, -9223372036854775807) - 1 AS after, r.last_id AS last INTO v_range FROM billing.window_ids(source_table, p_from, p_to) AS r;
        LOOP
            SELECT * INTO v_batch
            FROM billing.sweep_rows(source_table, p_from, p_to, v_range.after, v_range.last, p_with_history);
            EXIT WHEN v_batch.until_id IS NULL;
            v_range.after := v_batch.until_id;
            scanned := scanned + v_batch.scanned;
            deserving := deserving + v_batch.deserving;
            recorded := recorded + v_batch.recorded;
            unrated := unrated + v_batch.unrated;
            v_busy := v_busy || v_batch.busy;
        END LOOP;
        IF p_wait THEN
            FOREACH v_id IN ARRAY v_busy LOOP
                SELECT * INTO v_batch
                FROM billing.sweep_rows(source_table, p_from, p_to, v_id - 1, v_id, p_with_history, p_wait => true);
                recorded := recorded + COALESCE(v_batch.recorded, 0);
                unrated := unrated + COALESCE(v_batch.unrated, 0);
            END LOOP;
            v_busy := '{}';
        END IF;
        busy := cardinality(v_busy);
        RETURN NEXT;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.sweep_window IS
'sweep_rows in batches over the rows of all metered tables from p_from to p_to (days in the tenant''s zone, both included),
and per table the sums of what it gives. p_wait: in the end waits for the rows that were busy. A table that is no more, or
no longer readable, is left out. Raises UB012.';
