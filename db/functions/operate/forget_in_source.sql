-- operate: takes a number out of a part of a metered table of the application.
CREATE OR REPLACE FUNCTION billing.forget_in_source(
    p_table regclass,
    p_source_table text,
    p_needle text,
    p_pattern text,
    p_form text,
    p_salt bytea,
    p_from bigint,
    p_until bigint,
    p_dry_run boolean DEFAULT false
)
RETURNS TABLE (changed bigint, kept bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    v_metered billing.metered_tables;
    v_columns name[];
    v_widths jsonb;
    v_touched text;
    v_names text;
BEGIN
    SELECT * INTO v_metered FROM billing.metered_tables AS m WHERE m.source_table = p_source_table;
    SELECT
        array_agg(c.column_name),
        jsonb_object_agg(c.column_name, c.width),
        string_agg(
            format('(strpos(lower(translate(t.%1$I::text, ''+ -().'', '''')), $1) > 0 AND t.%1$I::text ~* $2)', c.column_name),
            ' OR '
        ),
        string_agg(format('%I', c.column_name), ', ')
    INTO v_columns, v_widths, v_touched, v_names
    FROM billing.list_text_columns(p_table) AS c
    WHERE NOT c.is_computed
        AND c.column_name IS DISTINCT FROM v_metered.resource_column;
    IF v_columns IS NULL THEN
        changed := 0;
        kept := 0;
        RETURN NEXT;
        RETURN;
    END IF;

    EXECUTE format(
        $query$
        WITH touched AS MATERIALIZED (
            SELECT t.ctid AS place, billing.cut_texts(billing.forget_in_row(to_jsonb(t.*), $3::text[], $2, $4, $5), $9) AS changes
            FROM %1$s AS t
            WHERE t.ctid >= $6::tid
                AND t.ctid < $7::tid
                AND (%2$s)
        ),
        judged AS MATERIALIZED (
            SELECT
                f.*,
                -- Only what it is worth must stay: to whom is what is to be forgotten.
                ARRAY(
                    SELECT (m.source_id, m.part, m.tenant_id, m.channel, m.resource_type, m.resource_id, m.quantity, m.occurred_at)::text
                    FROM (SELECT t.*) AS r CROSS JOIN LATERAL %3$s AS m ORDER BY m.part
                ) = ARRAY(
                    SELECT (m.source_id, m.part, m.tenant_id, m.channel, m.resource_type, m.resource_id, m.quantity, m.occurred_at)::text
                    FROM jsonb_populate_record(t.*, f.changes) AS r CROSS JOIN LATERAL %3$s AS m ORDER BY m.part
                ) AS is_worth_the_same
            FROM touched AS f
            INNER JOIN %1$s AS t ON t.ctid = f.place
        ),
        written AS (
            %4$s
        )
        SELECT
            CASE WHEN $8 THEN (SELECT count(*) FROM judged WHERE is_worth_the_same) ELSE (SELECT count(*) FROM written) END,
            (SELECT count(*) FROM judged WHERE NOT is_worth_the_same)
        $query$,
        p_table, v_touched, v_metered.measure_call,
        CASE WHEN p_dry_run THEN 'SELECT 1' ELSE format(
            'UPDATE %1$s AS t SET (%2$s) = (SELECT %2$s FROM jsonb_populate_record(t.*, j.changes) AS n)
            FROM judged AS j WHERE t.ctid = j.place AND j.is_worth_the_same RETURNING 1',
            p_table, v_names
        ) END
    )
    INTO changed, kept
    USING p_needle, p_pattern, v_columns::text[], COALESCE(p_form, ''), COALESCE(p_salt, ''),
        format('(%s,0)', p_from), format('(%s,0)', p_until), p_dry_run, v_widths;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.forget_in_source IS
'In blocks p_from to p_until (not included) of p_table, metered as p_source_table: takes a number out of every text, list and JSON
but the resource column, and empties the bodies of rows that it is in (forget_in_row). The application''s triggers fire, ours among
them, and find that nothing changed. changed: rows, or with p_dry_run how many it would be; kept: rows left alone, for they would
be worth something else.';
