-- operate: what is written into a row of the application fits in its columns.
CREATE OR REPLACE FUNCTION billing.cut_texts(p_row jsonb, p_widths jsonb)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT COALESCE(jsonb_object_agg(c.key, CASE
        WHEN jsonb_typeof(c.value) = 'string' AND w.width IS NOT NULL THEN to_jsonb(left(c.value #>> '{}', w.width))
        WHEN jsonb_typeof(c.value) = 'array' AND w.width IS NOT NULL THEN (
            SELECT jsonb_agg(
                CASE jsonb_typeof(e.value) WHEN 'string' THEN to_jsonb(left(e.value #>> '{}', w.width)) ELSE e.value END
                ORDER BY e.place
            )
            FROM jsonb_array_elements(c.value) WITH ORDINALITY AS e (value, place)
        )
        ELSE c.value
    END), '{}')
    FROM jsonb_each(p_row) AS c
    CROSS JOIN LATERAL (SELECT (p_widths ->> c.key)::integer) AS w (width);
$$;

COMMENT ON FUNCTION billing.cut_texts IS
'p_row (a row as JSON, or a part of it) with its texts cut to as many characters as p_widths has for their column; none: as they are.';
