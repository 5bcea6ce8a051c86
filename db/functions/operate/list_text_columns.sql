-- operate: the columns of a table that can hold a number or an address.
CREATE OR REPLACE FUNCTION billing.list_text_columns(p_table regclass)
RETURNS TABLE (column_name name, width integer, is_computed boolean)
LANGUAGE sql
STABLE
AS $$
    SELECT
        a.attname,
        CASE WHEN COALESCE(e.oid, NULLIF(t.typbasetype, 0), t.oid) IN ('varchar'::regtype, 'bpchar'::regtype)
            -- Of a domain it is a part of the type.
            THEN NULLIF(GREATEST(a.atttypmod, t.typtypmod), -1) - 4 END,
        a.attgenerated <> ''
    FROM pg_attribute AS a
    INNER JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
    WHERE a.attrelid = p_table
        AND a.attnum > 0
        AND NOT a.attisdropped
        -- Whatever counts as a string: text, varchar, char, citext, domains over them.
        AND ('S' IN (t.typcategory, e.typcategory)
            OR COALESCE(NULLIF(t.typbasetype, 0), t.oid) IN ('json'::regtype, 'jsonb'::regtype))
    ORDER BY a.attnum;
$$;

COMMENT ON FUNCTION billing.list_text_columns IS
'The columns of p_table that hold texts, lists of texts or JSON. width: of how many characters its texts may be, NULL: of any
number. is_computed: from other columns.';
