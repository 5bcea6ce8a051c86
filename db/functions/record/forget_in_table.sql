-- record: takes a number out of a part of one of our tables.
CREATE OR REPLACE FUNCTION billing.forget_in_table(
    p_table regclass,
    p_described text,
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
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_part text := format(
        't.ctid >= %L::tid AND t.ctid < %L::tid%s',
        format('(%s,0)', p_from), format('(%s,0)', p_until),
        -- A call is held for under its own key until it ends.
        CASE p_described WHEN 'reservations' THEN ' AND (t.outcome IS NOT NULL OR t.expires_at < now())' ELSE '' END
    );
    v_touched text;
    v_set text;
    v_key text;
    v_has_key text := 'false';
    v_keys text[];
    v_in_use text[] := '{}';
BEGIN
    SELECT
        string_agg(c.touched, ' OR '),
        string_agg(format(
            '%I = CASE WHEN %s THEN %s ELSE t.%1$I END', d.column_name, c.touched,
            CASE d.on_forget
                WHEN 'destination' THEN '$3'
                WHEN 'json' THEN format('billing.replace_in_json(t.%I, $2, $3)', d.column_name)
                WHEN 'key' THEN format('billing.pseudonym($4, t.%I)', d.column_name)
                ELSE format('regexp_replace(t.%I, $2, $3, ''gi'')', d.column_name)
            END
        ), ', '),
        max(d.column_name) FILTER (WHERE d.on_forget = 'key'),
        max(c.touched) FILTER (WHERE d.on_forget = 'key')
    INTO v_touched, v_set, v_key, v_has_key
    FROM billing.personal_data AS d
    CROSS JOIN LATERAL (
        SELECT CASE d.on_forget
            WHEN 'destination' THEN format('lower(t.%I) = $1', d.column_name)
            -- The first finds what the second might, and is much the faster.
            ELSE format('strpos(lower(translate(t.%1$I::text, ''+ -().'', '''')), $1) > 0 AND t.%1$I::text ~* $2%2$s', d.column_name,
                CASE d.on_forget WHEN 'key' THEN format(' AND t.%I <> ALL ($5)', d.column_name) ELSE '' END)
        END
    ) AS w (condition)
    CROSS JOIN LATERAL (SELECT format('(%s)', w.condition)) AS c (touched)
    WHERE d.table_name = p_described
        AND d.on_forget IS NOT NULL;

    kept := 0;
    IF v_key IS NOT NULL THEN
        EXECUTE format('SELECT array_agg(t.%I) FROM %s AS t WHERE %s AND %s', v_key, p_table, v_part, v_has_key)
        INTO v_keys USING p_needle, p_pattern, p_form, p_salt, v_in_use;
        IF v_keys IS NOT NULL THEN
            v_in_use := billing.keys_in_use(v_keys);
            SELECT count(*) INTO kept FROM unnest(v_keys) AS k WHERE k = ANY (v_in_use);
        END IF;
    END IF;
    IF p_dry_run THEN
        EXECUTE format('SELECT count(*) FROM %s AS t WHERE %s AND (%s)', p_table, v_part, v_touched)
        INTO changed USING p_needle, p_pattern, p_form, p_salt, v_in_use;
    ELSE
        -- As a setting of the function it could be set by a superuser only.
        PERFORM set_config('billing.forgets', 'on', true);
        EXECUTE format('UPDATE %s AS t SET %s WHERE %s AND (%s)', p_table, v_set, v_part, v_touched)
        USING p_needle, p_pattern, p_form, p_salt, v_in_use;
        GET DIAGNOSTICS changed = ROW_COUNT;
        PERFORM set_config('billing.forgets', 'off', true);
        -- A file that somebody is just writing of this month is not of what is left.
        UPDATE billing.detached_months AS d
        SET detached_at = clock_timestamp()
        WHERE changed > 0
            AND to_regclass(format('billing.%I', d.table_name)) = p_table;
    END IF;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.forget_in_table IS
'In blocks p_from to p_until (not included) of p_table, whose columns personal_data describes under p_described: puts p_form for the
number of p_needle and p_pattern (read_subject), and a pseudonym by p_salt for keys that hold it. changed: rows, or with p_dry_run
how many it would be; kept: keys left as they are, for a row of the application still has them. Open reservations are left alone.';
