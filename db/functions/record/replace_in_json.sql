-- record: replaces a text wherever it stands in a JSON value.
CREATE OR REPLACE FUNCTION billing.replace_in_json(p_value jsonb, p_pattern text, p_by text)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE jsonb_typeof(p_value)
        WHEN 'object' THEN (
            SELECT COALESCE(
                jsonb_object_agg(regexp_replace(e.key, p_pattern, p_by, 'gi'), billing.replace_in_json(e.value, p_pattern, p_by)), '{}'
            )
            FROM jsonb_each(p_value) AS e
        )
        WHEN 'array' THEN (
            SELECT COALESCE(jsonb_agg(billing.replace_in_json(e.value, p_pattern, p_by) ORDER BY e.place), '[]')
            FROM jsonb_array_elements(p_value) WITH ORDINALITY AS e (value, place)
        )
        WHEN 'string' THEN to_jsonb(regexp_replace(p_value #>> '{}', p_pattern, p_by, 'gi'))
        WHEN 'number' THEN CASE
            WHEN p_value::text ~* p_pattern THEN to_jsonb(regexp_replace(p_value::text, p_pattern, p_by, 'gi'))
            ELSE p_value
        END
        ELSE p_value
    END;
$$;

COMMENT ON FUNCTION billing.replace_in_json IS
'p_value with what p_pattern matches (without regard to case) replaced by p_by, in texts, keys and numbers at any depth; a number
that is changed becomes a text.';
