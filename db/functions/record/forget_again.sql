-- record: what was forgotten meanwhile is forgotten in a month that comes back.
CREATE OR REPLACE FUNCTION billing.forget_again(p_table regclass)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_found record;
    v_changed bigint := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM billing.forgotten_subjects) THEN
        RETURN 0;
    END IF;
    FOR v_found IN EXECUTE format(
        $query$
        SELECT s.needle, min(s.said) AS said, f.mode, f.salt
        FROM (
            SELECT lower(billing.normalize_destination(btrim(v.said))) AS needle, v.said
            FROM (
                SELECT DISTINCT t.destination AS said FROM %1$s AS t WHERE strpos(t.destination, '***') = 0
                UNION
                SELECT DISTINCT x #>> '{}'
                FROM %1$s AS t
                CROSS JOIN LATERAL jsonb_path_query(t.metadata, 'strict $.** ? (@.type() == "string" || @.type() == "number")') AS x
                WHERE t.metadata <> '{}'
                UNION
                SELECT DISTINCT t.resource_id FROM %1$s AS t
            ) AS v
        ) AS s
        INNER JOIN billing.forgotten_subjects AS f ON f.digest = billing.digest_subject(s.needle)
        WHERE s.needle ~ '^([0-9]{6,15}|[^@[:space:]]+@[^@[:space:]]+)$'
        GROUP BY s.needle, f.mode, f.salt
        $query$,
        p_table
    ) LOOP
        v_changed := v_changed + (
            SELECT t.changed
            FROM billing.read_subject(v_found.said) AS r
            CROSS JOIN LATERAL billing.forget_in_table(
                p_table, 'usage_records', r.needle, r.pattern,
                billing.forgotten_form(v_found.mode, r.needle, v_found.salt),
                -- Where the salt is gone, any other will do.
                COALESCE(v_found.salt, sha256(convert_to(gen_random_uuid()::text, 'UTF8'))),
                0, (pg_relation_size(p_table) / current_setting('block_size')::bigint) + 1
            ) AS t
        );
    END LOOP;
    IF v_changed > 0 THEN
        -- What was recorded by hand is found under the key that it got then.
        PERFORM set_config('billing.forgets', 'on', true);
        EXECUTE format(
            'UPDATE %1$s AS t
            SET resource_id = d.resource_id
            FROM %1$s AS c
            INNER JOIN billing.direct_usage AS d
                ON d.tenant_id = c.tenant_id
                AND d.record_id = c.id
                AND d.created_at = c.created_at
            WHERE t.tenant_id = c.tenant_id
                AND t.channel = c.channel
                AND t.resource_type = c.resource_type
                AND t.resource_id = c.resource_id
                AND t.source_id IS NULL
                AND d.resource_id <> c.resource_id',
            p_table
        );
        PERFORM set_config('billing.forgets', 'off', true);
    END IF;
    RETURN v_changed;
END;
$$;

COMMENT ON FUNCTION billing.forget_again IS
'Takes out of p_table, a month''s table that is not attached yet, whom forget_subject has taken out of the others since the month
went to its file; how many records were changed. A number is found by its hash where it is the destination, or all of a text in
metadata, or the resource; then wherever it stands.';
