-- operate: one batch of loading a month.
CREATE OR REPLACE FUNCTION billing.load_rows(p_month date, p_source_table text, p_limit integer DEFAULT 20000)
RETURNS TABLE (until_id bigint, scanned bigint, recorded bigint, unrated bigint)
LANGUAGE plpgsql
SET jit = off
AS $$
DECLARE
    v_month date := billing.month_of(p_month);
    v_load billing.month_loads;
    v_table text;
    v_source text := billing.qualify_source(p_source_table);
    v_call text := (SELECT t.measure_call FROM billing.metered_tables AS t WHERE t.source_table = p_source_table);
    v_from timestamptz := v_month::timestamp AT TIME ZONE 'UTC';
    v_until timestamptz := (v_month + interval '1 month') AT TIME ZONE 'UTC';
    v_measured billing.measurement[];
    v_known bigint[];
    v_of_month integer;
    v_is_partial boolean := false;
BEGIN
    SELECT d.table_name INTO v_table FROM billing.detached_months AS d WHERE d.month = v_month;
    -- Whoever loads the same month at the same time takes the next batch.
    SELECT * INTO v_load
    FROM billing.month_loads AS l
    WHERE l.month = v_month
        AND l.source_table = p_source_table
    FOR UPDATE;
    EXECUTE format(
        'SELECT max(b.id)::bigint
        FROM (SELECT s.id FROM %s AS s WHERE s.id > $1 AND s.id <= $2 ORDER BY s.id LIMIT $3) AS b', v_source
    ) INTO until_id USING v_load.until_id, v_load.last_id, p_limit;
    scanned := 0;
    recorded := 0;
    unrated := 0;
    IF until_id IS NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;

    BEGIN
        EXECUTE format(
            $query$
            SELECT array_agg(m.*)
            FROM %s AS r
            CROSS JOIN LATERAL %s AS m
            WHERE r.id > $1
                AND r.id <= $2
                AND CASE
                    WHEN m.occurred_at >= $3 + interval '16 hours' AND m.occurred_at < $4 - interval '16 hours' THEN true
                    WHEN m.occurred_at >= $3 - interval '16 hours' AND m.occurred_at < $4 + interval '16 hours' THEN
                        date_trunc('month', m.occurred_at AT TIME ZONE billing.zone_of(m.tenant_id, m.occurred_at))::date = $5
                    ELSE false
                END
            $query$,
            v_source, v_call
        ) INTO v_measured USING v_load.until_id, until_id, v_from, v_until, v_month;
        -- Of what is known already (of another month, by hand, set aside) the difference is to be taken.
        v_known := ARRAY(
            SELECT x.source_id
            FROM billing.usage_records AS x
            WHERE x.source_table = p_source_table
                AND x.source_id > v_load.until_id
                AND x.source_id <= until_id
            UNION
            SELECT u.source_id
            FROM billing.unrated_usage AS u
            WHERE u.source_table = p_source_table
                AND u.source_id > v_load.until_id
                AND u.source_id <= until_id
                AND u.resolved_at IS NULL
            UNION
            SELECT m.source_id
            FROM unnest(v_measured) AS m
            INNER JOIN billing.direct_usage AS d
                ON d.tenant_id = m.tenant_id
                AND d.channel = m.channel
                AND d.resource_type = m.resource_type
                AND d.resource_id = m.resource_id
            WHERE EXISTS (SELECT FROM billing.direct_usage)
        );
        IF cardinality(v_known) > 0 THEN
            v_of_month := cardinality(v_measured);
            v_measured := ARRAY(SELECT m FROM unnest(v_measured) AS m WHERE m.source_id <> ALL (v_known));
            -- No row of the batch need be of this month.
            v_is_partial := COALESCE(cardinality(v_measured) < v_of_month, false);
        END IF;
        IF cardinality(v_measured) > 0 THEN
            scanned := cardinality(v_measured);
            recorded := billing.load_first_charges(v_table, p_source_table, v_measured);
            unrated := scanned - recorded;
        END IF;
    EXCEPTION
        -- Some row cannot be measured or recorded.
        WHEN data_exception OR raise_exception OR integrity_constraint_violation OR program_limit_exceeded THEN
            scanned := 0;
            recorded := 0;
            unrated := 0;
            v_is_partial := true;
    END;
    UPDATE billing.month_loads AS l
    SET until_id = load_rows.until_id, is_partial = l.is_partial OR v_is_partial
    WHERE l.month = v_month
        AND l.source_table = p_source_table;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.load_rows IS
'Loads the next p_limit rows of p_source_table into the table of p_month, which begin_load took aside. until_id: the last row
of the batch, NULL after the last batch. scanned: rows of the month, recorded: records written, unrated: rows set aside. Rows
that are known already, and all of a batch in which one cannot be measured, are left to the sweep (month_loads.is_partial).';
