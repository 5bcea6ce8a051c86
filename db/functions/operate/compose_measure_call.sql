-- operate: the call of a measure function on a row with alias r.
CREATE OR REPLACE FUNCTION billing.compose_measure_call(p_table regclass, p_measure regproc)
RETURNS text
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_missing text;
    v_arguments text;
BEGIN
    IF (SELECT prorettype FROM pg_proc WHERE oid = p_measure) <> 'billing.measurement'::regtype
        OR NOT EXISTS (
            SELECT
            FROM pg_attribute
            WHERE attrelid = p_table AND attname = 'id' AND NOT attisdropped
                AND atttypid IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype)
        )
    THEN
        RAISE EXCEPTION 'table cannot be metered this way'
            USING ERRCODE = 'UB012',
                DETAIL = format('Table %s, measure function %s.', p_table, p_measure),
                HINT = 'The table needs an integer column id, and the function returns SETOF billing.measurement.';
    END IF;

    WITH arguments AS (
        SELECT
            a.name,
            regexp_replace(a.name, '^p_', '') AS column_name,
            format_type(t.type, NULL) AS type,
            a.position > p.pronargs - p.pronargdefaults AS has_default
        FROM pg_proc AS p
        CROSS JOIN LATERAL unnest(p.proargnames) WITH ORDINALITY AS a (name, position)
        INNER JOIN LATERAL unnest(p.proargtypes::oid[]) WITH ORDINALITY AS t (type, position) USING (position)
        WHERE p.oid = p_measure
    ),
    matched AS (
        SELECT
            a.*,
            c.attname IS NOT NULL AS is_there,
            -- A column without zone is read as UTC, whatever the session's zone.
            CASE
                WHEN c.atttypid = 'timestamp'::regtype AND a.type = 'timestamp with time zone' THEN ' AT TIME ZONE ''UTC'''
                ELSE '::' || a.type
            END AS conversion
        FROM arguments AS a
        LEFT JOIN pg_attribute AS c
            ON c.attrelid = p_table
            AND c.attname = a.column_name
            AND c.attnum > 0
            AND NOT c.attisdropped
    )
    SELECT
        string_agg(column_name, ', ') FILTER (WHERE NOT is_there AND NOT has_default),
        string_agg(format('%I => r.%I%s', name, column_name, conversion), ', ') FILTER (WHERE is_there)
    INTO v_missing, v_arguments
    FROM matched;

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION 'table lacks columns that its measure function reads'
            USING ERRCODE = 'UB012',
                DETAIL = format('Table %s has no column %s.', p_table, v_missing),
                HINT = 'Write a measure function whose parameters are named after the columns of this table.';
    END IF;
    RETURN format('%s(%s)', (
        SELECT format('%I.%I', n.nspname, p.proname)
        FROM pg_proc AS p
        INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE p.oid = p_measure
    ), v_arguments);
END;
$$;

COMMENT ON FUNCTION billing.compose_measure_call IS
'SQL text that calls p_measure on a row r of p_table, each parameter given the column it is named after, cast to its
type (a timestamp without zone is UTC). A column that is not there is left to the parameter''s default. Raises UB012.';
