-- measure: what is kept of metadata for the eyes of those who need not know what it says.
CREATE OR REPLACE FUNCTION billing.mask_texts(p_value jsonb)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE jsonb_typeof(p_value)
        WHEN 'object' THEN (
            -- A key may be a number, too.
            SELECT COALESCE(
                jsonb_object_agg(CASE WHEN e.key ~ '^[[:alpha:]_][[:alpha:]_ -]{0,40}$' THEN e.key ELSE '***' END, billing.mask_texts(e.value)),
                '{}'
            )
            FROM jsonb_each(p_value) AS e
        )
        WHEN 'array' THEN (
            SELECT COALESCE(jsonb_agg(billing.mask_texts(e.value) ORDER BY e.place), '[]')
            FROM jsonb_array_elements(p_value) WITH ORDINALITY AS e (value, place)
        )
        WHEN 'string' THEN '"***"'
        WHEN 'number' THEN CASE WHEN abs((p_value #>> '{}')::numeric) < 100000 THEN p_value ELSE '"***"' END
        ELSE p_value
    END;
$$;

COMMENT ON FUNCTION billing.mask_texts IS
'p_value with every text in it, every number of six digits or more, and every key that is not a plain word, replaced by ***: of
metadata its shape, its small numbers and its booleans.';
