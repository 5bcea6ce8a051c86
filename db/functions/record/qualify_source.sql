-- record: a source table's full name.
CREATE OR REPLACE FUNCTION billing.qualify_source(p_source_table text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN p_source_table ~ '^([a-z_][a-z0-9_]*|"([^"]|"")+")$' THEN 'public.' || p_source_table
        WHEN p_source_table ~ E'^([a-z_][a-z0-9_]*|"([^"]|"")+")\\.([a-z_][a-z0-9_]*|"([^"]|"")+")$' THEN p_source_table
    END;
$$;

COMMENT ON FUNCTION billing.qualify_source IS
'usage_records.source_table with its schema (public where it names none), ready to stand in a statement: one name or
two, quoted where they must be. NULL for any other text, which no statement may be made of.';
