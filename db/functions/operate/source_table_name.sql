-- operate: a table's name as records keep it.
CREATE OR REPLACE FUNCTION billing.source_table_name(p_table regclass)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT COALESCE(
        (SELECT m.source_table FROM billing.metered_tables AS m WHERE to_regclass(billing.qualify_source(m.source_table)) = p_table),
        (
            SELECT CASE WHEN n.nspname = 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END || quote_ident(c.relname)
            FROM pg_catalog.pg_class AS c
            INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.oid = p_table
        )
    );
$$;

COMMENT ON FUNCTION billing.source_table_name IS
'The name of a table, with its schema unless that is public; of one that is metered the name that it had then, whatever it is called
by now.';
