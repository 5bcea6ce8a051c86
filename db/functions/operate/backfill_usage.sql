-- operate: bills rows that were there before billing was, or that got past its triggers.
CREATE OR REPLACE FUNCTION billing.backfill_usage(p_from date, p_to date)
RETURNS TABLE (source_table text, scanned bigint, recorded bigint, already_recorded bigint, unrated bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    v_metered billing.metered_tables;
    v_batch bigint[];
    v_last bigint;
    v_result record;
    v_from timestamptz := (p_from - 1)::timestamp AT TIME ZONE 'UTC';
    v_until timestamptz := (p_to + 2)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF (p_from <= p_to AND isfinite(p_from) AND isfinite(p_to)) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad range of days'
            USING ERRCODE = 'UB012',
                DETAIL = format('From %s to %s.', p_from, p_to),
                HINT = 'p_from is not after p_to; both are included.';
    END IF;
    FOR v_metered IN SELECT * FROM billing.metered_tables AS t ORDER BY t.source_table LOOP
        source_table := v_metered.source_table;
        scanned := 0;
        recorded := 0;
        already_recorded := 0;
        unrated := 0;
        v_last := NULL;
        LOOP
            -- Days are the tenant's: what occurred from p_from to p_to in its zone. What has no time occurs when it is recorded: now.
            EXECUTE format(
                'SELECT ARRAY(
                    SELECT DISTINCT m.source_id
                    FROM %s AS r
                    CROSS JOIN LATERAL %s AS m
                    LEFT JOIN public.tenants AS t ON t.id = m.tenant_id
                    WHERE COALESCE(m.occurred_at, now()) >= $1 AND COALESCE(m.occurred_at, now()) < $2
                        AND (COALESCE(m.occurred_at, now()) AT TIME ZONE COALESCE(t.timezone, ''UTC''))::date
                            BETWEEN $3 AND $4
                        AND ($5 IS NULL OR m.source_id > $5)
                    ORDER BY m.source_id
                    LIMIT 10000
                )',
                billing.qualify_source(v_metered.source_table), v_metered.measure_call
            )
            INTO v_batch
            USING v_from, v_until, p_from, p_to, v_last;
            EXIT WHEN cardinality(v_batch) = 0;
            v_last := v_batch[cardinality(v_batch)];

            SELECT * INTO v_result FROM billing.record_rows(v_metered.source_table, v_batch);
            scanned := scanned + v_result.scanned;
            recorded := recorded + v_result.recorded;
            SELECT unrated + count(DISTINCT u.source_id)
            INTO unrated
            FROM billing.unrated_usage AS u
            WHERE u.source_table = v_metered.source_table
                AND u.source_id = ANY (v_batch)
                AND u.resolved_at IS NULL;
        END LOOP;
        already_recorded := GREATEST(scanned - recorded - unrated, 0);
        RETURN NEXT;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.backfill_usage IS
'Records what the rows of all metered tables that occurred from p_from to p_to (days in the tenant''s zone, both
included) deserve, at the prices of their time. Per table: rows that deserve a charge, records written, rows that had
them already, and rows set aside. Twice is once. Months without a partition go to the default one: ensure_partitions,
in a transaction of its own before, gives them theirs. Raises UB012.';
