-- operate: deserved against recorded, for the rows of a range of ids.
CREATE OR REPLACE FUNCTION billing.compare_rows(
    p_source_table text,
    p_from date,
    p_to date,
    p_after bigint,
    p_until bigint,
    p_with_history boolean
)
RETURNS SETOF billing.row_difference
LANGUAGE plpgsql
STABLE
SET jit = off
AS $$
DECLARE
    v_metered billing.metered_tables;
    v_found billing.row_difference[];
    v_failed billing.row_difference;
    v_middle bigint;
    v_context text;
BEGIN
    SELECT * INTO v_metered FROM billing.metered_tables AS t WHERE t.source_table = p_source_table;
    BEGIN
        -- All of them or none: what RETURN QUERY has given out stays given out, also when the next row fails.
        EXECUTE format(
            $query$
            WITH deserved AS (
                SELECT m.*
                FROM %2$s AS r
                CROSS JOIN LATERAL %3$s AS m
                WHERE r.id > $1
                    AND r.id <= $2
            ),
            -- The last record of each chain, where it is a charge.
            standing AS (
                SELECT last.*, count(*) OVER (PARTITION BY last.source_id, last.part) AS charges
                FROM (
                    SELECT DISTINCT ON (x.source_id, x.part, x.usage_date, x.tenant_id)
                        x.source_id, x.part, x.usage_date, x.tenant_id, x.kind, x.channel, x.resource_type,
                        COALESCE(x.seconds, x.quantity) AS quantity, x.destination, x.occurred_at
                    FROM billing.usage_records AS x
                    WHERE x.source_table = %1$L
                        AND x.source_id > $1
                        AND x.source_id <= $2
                    ORDER BY x.source_id, x.part, x.usage_date, x.tenant_id, x.revision DESC
                ) AS last
                WHERE last.kind = 'charge'
            ),
            paired AS MATERIALIZED (
                SELECT
                    COALESCE(d.source_id, s.source_id) AS source_id, d.source_id IS NOT NULL AS is_deserving, d, s, day.day,
                    -- What was recorded by hand for the resource of the row; NULL where its month is detached.
                    h.record_id IS NOT NULL AS is_by_hand,
                    -- A join would read all records for the few that there are.
                    CASE WHEN h.record_id IS NOT NULL THEN (
                        SELECT COALESCE(x.seconds, x.quantity)
                        FROM billing.usage_records AS x
                        WHERE x.tenant_id = h.tenant_id
                            AND x.created_at = h.created_at
                            AND x.id = h.record_id
                            AND x.usage_date = h.usage_date
                    ) END AS by_hand
                FROM deserved AS d
                FULL JOIN standing AS s
                    ON s.source_id = d.source_id
                    AND s.part = d.part
                CROSS JOIN LATERAL (SELECT COALESCE(d.occurred_at, s.occurred_at, now())) AS at (at)
                CROSS JOIN LATERAL (
                    SELECT
                        CASE WHEN d.source_id IS NULL THEN NULL
                            -- A time beyond all calendars is on no day, and cannot be placed in a zone.
                            WHEN at.at BETWEEN '0001-01-02' AND '9999-12-30' THEN
                                (at.at AT TIME ZONE COALESCE((
                                    -- zone_of, without a call for each row.
                                    SELECT t.timezone
                                    FROM billing.tenant_terms AS t
                                    WHERE t.tenant_id = d.tenant_id
                                        AND t.valid_from <= at.at
                                    ORDER BY t.valid_from DESC
                                    LIMIT 1
                                ), 'UTC'))::date
                        END
                ) AS day (day)
                LEFT JOIN billing.direct_usage AS h
                    ON h.tenant_id = d.tenant_id
                    AND h.channel = d.channel
                    AND h.resource_type = d.resource_type
                    AND h.resource_id = d.resource_id
                    AND h.reversed_at IS NULL
            ),
            compared AS MATERIALIZED (
                SELECT
                    p.*,
                    p.day BETWEEN $3 AND $4 AS is_deserved_then,
                    (p.s).usage_date BETWEEN $3 AND $4 AS is_recorded_then,
                    CASE
                        -- A row that was deleted or archived stays billed.
                        WHEN NOT p.is_deserving THEN EXISTS (SELECT FROM %2$s AS r WHERE r.id = p.source_id)
                        WHEN (p.s).source_id IS NULL THEN
                            -- What was there before is history until backfill_usage bills it.
                            (p.source_id > %4$L::bigint OR $5)
                            AND NOT (p.is_by_hand AND COALESCE(p.by_hand, (p.d).quantity) = (p.d).quantity)
                            AND NOT EXISTS (
                                SELECT FROM billing.detached_months AS g WHERE g.month = date_trunc('month', p.day::timestamp)::date
                            )
                            -- What has no time of its own was billed for when it was recorded.
                            AND NOT ((p.d).occurred_at IS NULL AND EXISTS (
                                SELECT FROM billing.find_detached_ids(%1$L) AS g WHERE g.ids @> p.source_id::numeric
                            ))
                        ELSE
                            ((p.d).tenant_id, (p.d).channel, (p.d).resource_type, (p.d).quantity)
                                IS DISTINCT FROM ((p.s).tenant_id, (p.s).channel, (p.s).resource_type, (p.s).quantity)
                            OR p.day <> (p.s).usage_date
                            OR NOT isfinite((p.d).occurred_at)
                            OR NOT billing.is_same_destination((p.d).destination, (p.s).destination)
                            OR (p.s).charges > 1
                            OR p.is_by_hand
                    END IS TRUE AS differs
                FROM paired AS p
            )
            SELECT array_agg(f::billing.row_difference)
            FROM (
                SELECT
                    c.source_id,
                    COALESCE(bool_or(c.is_deserved_then), false),
                    bool_or(c.differs),
                    COALESCE(bool_or((c.d).occurred_at <> (c.s).occurred_at), false),
                    string_agg(
                        format('deserves %%s, recorded %%s%%s',
                            CASE WHEN c.is_deserving THEN format('%%s %%s/%%s (tenant %%s, %%s)',
                                (c.d).quantity, (c.d).channel, (c.d).resource_type, (c.d).tenant_id, c.day) ELSE '0' END,
                            CASE WHEN (c.s).source_id IS NOT NULL THEN format('%%s %%s/%%s (tenant %%s, %%s)',
                                (c.s).quantity, (c.s).channel, (c.s).resource_type, (c.s).tenant_id, (c.s).usage_date) ELSE '0' END,
                            CASE
                                WHEN c.is_by_hand THEN ' and by hand ' || COALESCE(c.by_hand::text, '')
                                WHEN NOT billing.is_same_destination((c.d).destination, (c.s).destination) AND (c.s).source_id IS NOT NULL AND c.is_deserving
                                    THEN ' for another destination'
                                ELSE ''
                            END),
                        '; ' ORDER BY COALESCE((c.d).part, (c.s).part), (c.s).usage_date
                    ) FILTER (WHERE c.differs)
                FROM compared AS c
                GROUP BY c.source_id
                HAVING (bool_or(c.is_deserved_then) OR bool_or(c.is_recorded_then) OR $3 IS NULL)
                    AND (bool_or(c.is_deserving) OR bool_or(c.differs))
            ) AS f
            $query$,
            p_source_table, billing.qualify_source(p_source_table), v_metered.measure_call, v_metered.history_id
        ) INTO v_found USING p_after, p_until, p_from, p_to, p_with_history;
        RETURN QUERY SELECT * FROM unnest(v_found);
        RETURN;
    EXCEPTION
        WHEN data_exception OR raise_exception THEN
            GET STACKED DIAGNOSTICS v_context = PG_EXCEPTION_CONTEXT;
            v_failed := (NULL, true, true, false, format(
                'cannot be measured: %s %s', SQLSTATE, billing.describe_reason(SQLSTATE, SQLERRM, billing.describe_error(v_context))
            ));
    END;

    -- Some row cannot be measured: look for it by halves.
    EXECUTE format(
        'SELECT (max(i.id) FILTER (WHERE i.number <= (i.count + 1) / 2))::bigint, max(i.id)::bigint
        FROM (
            SELECT r.id, row_number() OVER (ORDER BY r.id) AS number, count(*) OVER () AS count
            FROM %s AS r WHERE r.id > $1 AND r.id <= $2
        ) AS i',
        billing.qualify_source(p_source_table)
    ) INTO v_middle, v_failed.source_id USING p_after, p_until;
    IF v_middle = v_failed.source_id THEN
        RETURN NEXT v_failed;
    ELSE
        RETURN QUERY
        SELECT * FROM billing.compare_rows(p_source_table, p_from, p_to, p_after, v_middle, p_with_history)
        UNION ALL
        SELECT * FROM billing.compare_rows(p_source_table, p_from, p_to, v_middle, p_until, p_with_history);
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.compare_rows IS
'The rows of a metered table with id above p_after, up to p_until, that occurred from p_from to p_to (days in the tenant''s
zone; NULL: whenever) or have records of those days. is_deserving: they deserve a charge then. differs: what is recorded
is not what they deserve, detail says how. is_moved: their time is another on the same day, which may be another price.
Rows that were there before the table was metered and have no record differ only p_with_history; rows that were deleted,
and rows of a detached month without records elsewhere, never do. A row that cannot be measured differs.';
