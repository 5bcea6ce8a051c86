-- operate: the key of a row, as text.
CREATE OR REPLACE FUNCTION billing.row_key(p_row jsonb, p_columns text[])
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT string_agg(p_row ->> c.name, ', ' ORDER BY c.number) FROM unnest(p_columns) WITH ORDINALITY AS c (name, number);
$$;

COMMENT ON FUNCTION billing.row_key IS 'The values of p_columns in p_row, separated by commas; NULL: it has none of them.';
