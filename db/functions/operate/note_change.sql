-- operate: trigger on administered tables; enters what a statement changed in the audit log.
CREATE OR REPLACE FUNCTION billing.note_change()
RETURNS trigger
LANGUAGE plpgsql
-- Nobody writes to the audit log himself.
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    c_single CONSTANT bigint := 20;
    v_left_out text[] := string_to_array(TG_ARGV[0], ',');
    v_hidden text[] := string_to_array(TG_ARGV[1], ',');
    v_key text[];
    v_count bigint;
    v_context text;
    v_via text;
    v_rows jsonb;
    v_pairs text;
BEGIN
    IF TG_TABLE_SCHEMA <> 'billing' THEN
        RAISE EXCEPTION 'not a table of billing'
            USING ERRCODE = 'UB012',
                DETAIL = 'billing.note_change is a trigger of tables of schema billing.',
                HINT = 'Drop this trigger, and use billing.note_act.';
    END IF;
    GET DIAGNOSTICS v_context = PG_CONTEXT;
    v_via := billing.find_caller(v_context);
    v_key := ARRAY(
        SELECT a.attname
        FROM pg_index AS i
        CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, number)
        INNER JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE i.indrelid = TG_RELID
            AND i.indisprimary
        ORDER BY k.number
    );

    -- Only the branch of its own event is ever planned: the others have no such transition tables.
    IF TG_OP = 'INSERT' THEN
        v_pairs := 'SELECT NULL::jsonb AS old_row, to_jsonb(n) AS new_row FROM new_rows AS n';
        SELECT count(*) INTO v_count FROM new_rows;
        IF v_count <= c_single THEN
            SELECT jsonb_agg(jsonb_build_object('new', to_jsonb(n))) INTO v_rows FROM new_rows AS n;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        v_pairs := 'SELECT to_jsonb(o) AS old_row, NULL::jsonb AS new_row FROM old_rows AS o';
        SELECT count(*) INTO v_count FROM old_rows;
        IF v_count <= c_single THEN
            SELECT jsonb_agg(jsonb_build_object('old', to_jsonb(o))) INTO v_rows FROM old_rows AS o;
        END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        v_pairs := 'SELECT o.old_row, n.new_row
            FROM (SELECT to_jsonb(x) AS old_row FROM old_rows AS x) AS o
            FULL JOIN (SELECT to_jsonb(x) AS new_row FROM new_rows AS x) AS n
                ON billing.row_key(n.new_row, $2) = billing.row_key(o.old_row, $2)';
        SELECT count(*) INTO v_count FROM new_rows;
        IF v_count <= c_single THEN
            -- Where the key itself changed, what was there and what is there are two entries.
            SELECT jsonb_agg(CASE
                WHEN n.new_row IS NULL THEN jsonb_build_object('old', o.old_row)
                WHEN o.old_row IS NULL THEN jsonb_build_object('new', n.new_row)
                ELSE jsonb_build_object('old', o.old_row, 'new', n.new_row)
            END)
            INTO v_rows
            FROM (SELECT to_jsonb(x) AS old_row FROM old_rows AS x) AS o
            FULL JOIN (SELECT to_jsonb(x) AS new_row FROM new_rows AS x) AS n
                ON billing.row_key(n.new_row, v_key) = billing.row_key(o.old_row, v_key);
        END IF;
    ELSE
        EXECUTE format('SELECT count(*) FROM billing.%I', TG_TABLE_NAME) INTO v_count;
        INSERT INTO billing.audit_log (action, via, object, row_count, reason)
        SELECT 'truncate', v_via, TG_TABLE_NAME, v_count, NULLIF(current_setting('billing.reason', true), '')
        WHERE v_count > 0;
        RETURN NULL;
    END IF;

    IF v_count > c_single THEN
        -- One entry for all: what they have in common, such as the card, the channel and the day of a deck.
        EXECUTE format(
            $query$
            WITH changed AS MATERIALIZED (
                SELECT p.old_row - $1 AS old_row, p.new_row - $1 AS new_row, (COALESCE(p.new_row, p.old_row) ->> 'id')::bigint AS id
                FROM (%s) AS p
                WHERE p.old_row - $1 IS DISTINCT FROM p.new_row - $1
            ),
            counted AS (
                SELECT count(*) AS row_count, min(id) || ' to ' || max(id) AS ids FROM changed
            ),
            common AS (
                SELECT s.side, jsonb_object_agg(s.key, s.value) AS row
                FROM (
                    SELECT 'old' AS side, e.key, min(e.value::text COLLATE "C")::jsonb AS value
                    FROM changed AS c
                    CROSS JOIN LATERAL jsonb_each(jsonb_strip_nulls(c.old_row)) AS e
                    GROUP BY e.key
                    HAVING count(*) = (SELECT row_count FROM counted)
                        AND min(e.value::text COLLATE "C") = max(e.value::text COLLATE "C")
                    UNION ALL
                    SELECT 'new', e.key, min(e.value::text COLLATE "C")::jsonb
                    FROM changed AS c
                    CROSS JOIN LATERAL jsonb_each(jsonb_strip_nulls(c.new_row)) AS e
                    GROUP BY e.key
                    HAVING count(*) = (SELECT row_count FROM counted)
                        AND min(e.value::text COLLATE "C") = max(e.value::text COLLATE "C")
                ) AS s
                GROUP BY s.side
            )
            SELECT
                n.row_count,
                jsonb_build_array(jsonb_build_object('key', n.ids)
                    || COALESCE((SELECT jsonb_object_agg(c.side, c.row) FROM common AS c), '{}'))
            FROM counted AS n
            $query$,
            v_pairs
        ) INTO v_count, v_rows USING v_left_out, v_key;
        IF v_count = 0 THEN
            RETURN NULL;
        END IF;
    END IF;

    INSERT INTO billing.audit_log (
        action, via, object, key, tenant_id, row_count, old_values, new_values, reason
    )
    SELECT
        lower(TG_OP), v_via, TG_TABLE_NAME, COALESCE(r.pair ->> 'key', billing.row_key(r.any_row, v_key)),
        (r.any_row ->> 'tenant_id')::bigint, s.row_count, o.values, n.values,
        COALESCE(
            r.pair -> 'new' ->> 'void_reason', r.pair -> 'new' ->> 'reason', NULLIF(current_setting('billing.reason', true), '')
        )
    FROM (
        SELECT p.pair, COALESCE(p.pair -> 'new', p.pair -> 'old') AS any_row
        FROM jsonb_array_elements(v_rows) WITH ORDINALITY AS p (pair, number)
        ORDER BY billing.row_key(COALESCE(p.pair -> 'new', p.pair -> 'old'), v_key), p.number
    ) AS r
    CROSS JOIN LATERAL (SELECT CASE WHEN r.pair ? 'key' THEN v_count ELSE 1 END) AS s (row_count)
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(e.key, CASE WHEN e.key = ANY (v_hidden) THEN '"(not kept)"' ELSE e.value END)
        FROM jsonb_each(jsonb_strip_nulls(r.pair -> 'old')) AS e
        WHERE e.key <> ALL (v_left_out)
            AND e.value IS DISTINCT FROM r.pair -> 'new' -> e.key
    ) AS o (values)
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(e.key, CASE WHEN e.key = ANY (v_hidden) THEN '"(not kept)"' ELSE e.value END)
        FROM jsonb_each(r.pair -> 'new') AS e
        WHERE e.key <> ALL (v_left_out)
            AND CASE WHEN r.pair ? 'old' AND NOT r.pair ? 'key' THEN e.value IS DISTINCT FROM r.pair -> 'old' -> e.key
                ELSE e.value <> 'null' END
    ) AS n (values)
    WHERE r.pair ? 'key'
        OR o.values IS NOT NULL
        OR n.values IS NOT NULL;
    RETURN NULL;
END;
$$;

COMMENT ON FUNCTION billing.note_change IS
'Enters each row that a statement inserted, changed or deleted in audit_log; of more than 20 rows one entry with their number
and what they have in common. A statement that changes nothing is no act. Arguments of the trigger: columns that do not count,
and columns of which only is said that they changed, separated by commas.';
