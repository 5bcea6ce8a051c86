-- operate: one batch of the sweep: finds rows whose records are not what they deserve, and repairs them.
CREATE OR REPLACE FUNCTION billing.sweep_rows(
    p_source_table text,
    p_from date,
    p_to date,
    p_after bigint,
    p_last bigint,
    p_with_history boolean,
    p_wait boolean DEFAULT false,
    p_limit integer DEFAULT 10000
)
RETURNS TABLE (until_id bigint, scanned bigint, deserving bigint, recorded bigint, unrated bigint, busy bigint[])
LANGUAGE plpgsql
AS $$
DECLARE
    v_source text := billing.qualify_source(p_source_table);
    v_ids bigint[];
    v_locked bigint[];
BEGIN
    EXECUTE format(
        'SELECT max(b.id)::bigint
        FROM (SELECT s.id FROM %s AS s WHERE s.id > $1 AND s.id <= $2 ORDER BY s.id LIMIT $3) AS b', v_source
    ) INTO until_id USING p_after, p_last, p_limit;
    scanned := 0;
    deserving := 0;
    recorded := 0;
    unrated := 0;
    busy := '{}';
    IF until_id IS NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;

    -- Rows of which nothing is recorded, as all are before the first backfill, need not be compared.
    IF (p_with_history OR p_after >= (SELECT t.history_id FROM billing.metered_tables AS t WHERE t.source_table = p_source_table))
        AND NOT EXISTS (
            SELECT
            FROM billing.usage_records AS x
            WHERE x.source_table = p_source_table
                AND x.source_id > p_after
                AND x.source_id <= until_id
        )
        AND NOT EXISTS (
            SELECT
            FROM billing.unrated_usage AS u
            WHERE u.source_table = p_source_table
                AND u.source_id > p_after
                AND u.source_id <= until_id
                AND u.resolved_at IS NULL
        )
        AND NOT EXISTS (
            SELECT
            FROM billing.detached_months AS d
            WHERE d.month <= p_to
                AND d.month + interval '1 month' > p_from
        )
        AND NOT EXISTS (
            SELECT FROM billing.find_detached_ids(p_source_table) AS g WHERE g.ids && numrange(p_after, until_id, '(]')
        )
    THEN
        BEGIN
            SELECT r.deserving, r.deserving, r.recorded
            INTO scanned, deserving, recorded
            FROM billing.record_new_rows(p_source_table, p_from, p_to, p_after, until_id, p_wait) AS r;
            SELECT count(DISTINCT u.source_id)
            INTO unrated
            FROM billing.unrated_usage AS u
            WHERE u.source_table = p_source_table
                AND u.source_id > p_after
                AND u.source_id <= until_id
                AND u.resolved_at IS NULL;
            RETURN NEXT;
            RETURN;
        EXCEPTION
            -- Some row cannot be measured, or is busy, or was recorded by hand, or meanwhile: row by row, as below.
            WHEN data_exception OR raise_exception OR integrity_constraint_violation OR program_limit_exceeded
                OR lock_not_available
            THEN
                NULL;
        END;
    END IF;

    SELECT
        count(*),
        count(*) FILTER (WHERE c.is_deserving),
        COALESCE(array_agg(c.source_id) FILTER (WHERE c.differs OR c.is_moved OR u.is_open), '{}')
    INTO scanned, deserving, v_ids
    FROM billing.compare_rows(p_source_table, p_from, p_to, p_after, until_id, p_with_history) AS c
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT
            FROM billing.unrated_usage AS u
            WHERE u.source_table = p_source_table
                AND u.source_id = c.source_id
                AND u.resolved_at IS NULL
        )
    ) AS u (is_open);

    IF cardinality(v_ids) > 0 THEN
        -- Never waiting with rows locked: a writer of one of them would wait for whoever we wait for.
        EXECUTE format(
            'WITH locked AS MATERIALIZED (
                SELECT s.id FROM %s AS s WHERE s.id = ANY ($1) ORDER BY s.id FOR NO KEY UPDATE %s
            )
            SELECT COALESCE(array_agg(id::bigint), ''{}'') FROM locked',
            v_source, CASE WHEN p_wait THEN '' ELSE 'SKIP LOCKED' END
        ) INTO v_locked USING v_ids;
        EXECUTE format(
            'SELECT COALESCE(array_agg(s.id::bigint ORDER BY s.id), ''{}'')
            FROM %s AS s WHERE s.id = ANY ($1) AND s.id <> ALL ($2)', v_source
        ) INTO busy USING v_ids, v_locked;
        recorded := billing.record_batch(p_source_table, v_locked);
        SELECT count(DISTINCT u.source_id)
        INTO unrated
        FROM billing.unrated_usage AS u
        WHERE u.source_table = p_source_table
            AND u.source_id = ANY (v_ids)
            AND u.resolved_at IS NULL;
    END IF;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.sweep_rows IS
'Compares the next p_limit rows of a metered table (ids above p_after, up to p_last) as compare_rows does and records what
differs, as record_rows does. until_id: the last row of the batch, NULL after the last batch. scanned: rows of those days,
deserving: those that deserve a charge, recorded: records written, unrated: rows that stay set aside, busy: rows that
somebody is changing just now and that were left alone, unless p_wait. Holds the locks of what it repaired until the end
of the transaction.';
