-- operate: the call of a measure function on a row with alias r.
CREATE OR REPLACE FUNCTION billing.compose_measure_call(p_table regclass, p_measure regproc)
RETURNS text
LANGUAGE plpgsql
STABLE
-- As the trigger: what is not found along it would otherwise show with every row, in unrated_usage.
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_table text := billing.source_table_name(p_table);
    v_missing text;
    v_left_out text;
    v_arguments text;
    v_call text;
BEGIN
    IF (SELECT prorettype FROM pg_proc WHERE oid = p_measure) <> 'billing.measurement'::regtype
        OR (SELECT relkind FROM pg_class WHERE oid = p_table) NOT IN ('r', 'p')
        OR NOT EXISTS (
            SELECT
            FROM pg_attribute AS a
            INNER JOIN pg_type AS t ON t.oid = a.atttypid
            WHERE a.attrelid = p_table AND a.attname = 'id' AND NOT a.attisdropped
                AND COALESCE(NULLIF(t.typbasetype, 0), a.atttypid) IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype)
        )
    THEN
        RAISE EXCEPTION 'table cannot be metered this way'
            USING ERRCODE = 'UB012',
                DETAIL = format('Table %s, measure function %s.', v_table, p_measure),
                HINT = 'A table, no view, with an integer column id, and a function that returns SETOF billing.measurement.';
    END IF;

    WITH arguments AS (
        SELECT
            a.position,
            a.name,
            regexp_replace(a.name, '^p_', '') AS column_name,
            -- A type of the application's is found along no search_path.
            CASE WHEN x.typnamespace = 'pg_catalog'::regnamespace THEN format_type(t.type, NULL)
                ELSE format('%I.%I', n.nspname, x.typname) END AS type,
            a.position > p.pronargs - p.pronargdefaults AS has_default
        FROM pg_proc AS p
        CROSS JOIN LATERAL unnest(p.proargnames) WITH ORDINALITY AS a (name, position)
        INNER JOIN LATERAL unnest(p.proargtypes::oid[]) WITH ORDINALITY AS t (type, position) USING (position)
        INNER JOIN pg_type AS x ON x.oid = t.type
        INNER JOIN pg_namespace AS n ON n.oid = x.typnamespace
        WHERE p.oid = p_measure
    ),
    matched AS (
        SELECT
            a.*,
            c.attname IS NOT NULL AS is_there,
            -- A column without zone is read as UTC, whatever the session's zone.
            CASE
                WHEN a.type = 'timestamp with time zone'
                    AND COALESCE(NULLIF(d.typbasetype, 0), c.atttypid) IN ('timestamp'::regtype, 'date'::regtype)
                THEN 'r.%I::timestamp AT TIME ZONE ''UTC'''
                -- Nor does the session's way to read a date matter.
                WHEN a.type = 'timestamp with time zone' AND d.typcategory = 'S' THEN 'billing.read_instant(r.%I::text)'
                ELSE 'r.%I::' || replace(a.type, '%', '%%')
            END AS conversion
        FROM arguments AS a
        LEFT JOIN pg_attribute AS c
            ON c.attrelid = p_table
            AND c.attname = a.column_name
            AND c.attnum > 0
            AND NOT c.attisdropped
        LEFT JOIN pg_type AS d ON d.oid = c.atttypid
    )
    SELECT
        string_agg(column_name, ', ' ORDER BY position) FILTER (WHERE NOT is_there AND NOT has_default),
        string_agg(column_name, ', ' ORDER BY position) FILTER (WHERE NOT is_there AND has_default),
        string_agg(format('%I => ' || conversion, name, column_name), ', ' ORDER BY position) FILTER (WHERE is_there)
    INTO v_missing, v_left_out, v_arguments
    FROM matched;

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION 'table lacks columns that its measure function reads'
            USING ERRCODE = 'UB012',
                DETAIL = format('Table %s has no column %s.', v_table, v_missing),
                HINT = 'Write a measure function whose parameters are named after the columns of this table.';
    END IF;
    IF v_left_out IS NOT NULL THEN
        -- It may be there by another name, and emails' carbon copies would be free.
        RAISE NOTICE 'table % has no column %: billed without', v_table, v_left_out;
    END IF;

    v_call := format('%s(%s)', (
        SELECT format('%I.%I', n.nspname, p.proname)
        FROM pg_proc AS p
        INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE p.oid = p_measure
    ), v_arguments);
    BEGIN
        EXECUTE format('SELECT FROM %s AS r CROSS JOIN LATERAL %s AS m LIMIT 0', p_table, v_call);
    EXCEPTION
        WHEN syntax_error_or_access_rule_violation THEN
            RAISE EXCEPTION 'columns of the table are not what its measure function reads'
                USING ERRCODE = 'UB012',
                    DETAIL = format('Table %s: %s.', v_table, SQLERRM),
                    HINT = 'Write a measure function whose parameters have types that these columns can be cast to.';
    END;
    RETURN v_call;
END;
$$;

COMMENT ON FUNCTION billing.compose_measure_call IS
'SQL text that calls p_measure on a row r of p_table, each parameter given the column it is named after, cast to its
type (a timestamp without zone, or a date, is UTC: a parameter of its own type gets it as it is). A column that is not
there is left to the parameter''s default, with a NOTICE. Raises UB012.';
