-- record: a source table's full name.
CREATE OR REPLACE FUNCTION billing.qualify_source(p_source_table text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE WHEN p_source_table ~ '^("[^"]+"|[^".]+)$' THEN 'public.' ELSE '' END || p_source_table;
$$;

COMMENT ON FUNCTION billing.qualify_source IS
'usage_records.source_table with its schema (public where it names none), ready to stand in a statement.';
