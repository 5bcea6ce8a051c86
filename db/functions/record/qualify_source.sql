-- record: a source table's full name.
CREATE OR REPLACE FUNCTION billing.qualify_source(p_source_table text)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    -- Records keep the name that the table had when it was metered. It may have been renamed since, or its schema: then its
    -- trigger tells which it is.
    SELECT COALESCE(
        CASE WHEN to_regclass(q.name) IS NULL THEN (
            SELECT format('%I.%I', n.nspname, c.relname)
            FROM pg_trigger AS t
            INNER JOIN pg_class AS c ON c.oid = t.tgrelid
            INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE t.tgname = 'billing_meter_insert'
                AND t.tgparentid = 0
                AND t.tgfoid = to_regproc(billing.name_trigger_function(p_source_table))
            LIMIT 1
        ) END,
        q.name
    )
    FROM (
        SELECT CASE
            WHEN p_source_table ~ '^([a-z_][a-z0-9_]*|"([^"]|"")+")$' THEN 'public.' || p_source_table
            WHEN p_source_table ~ E'^([a-z_][a-z0-9_]*|"([^"]|"")+")\\.([a-z_][a-z0-9_]*|"([^"]|"")+")$' THEN p_source_table
        END
    ) AS q (name);
$$;

COMMENT ON FUNCTION billing.qualify_source IS
'The table of usage_records.source_table as it is called now, with its schema (public where it names none), ready to stand in a
statement: two names, quoted where they must be. NULL for any other text, which no statement may be made of.';
