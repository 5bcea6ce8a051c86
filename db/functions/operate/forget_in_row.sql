-- operate: what becomes of a row of the application when a number is taken out of it.
CREATE OR REPLACE FUNCTION billing.forget_in_row(p_row jsonb, p_columns text[], p_pattern text, p_form text, p_salt bytea)
RETURNS jsonb
LANGUAGE sql
STABLE
AS $$
    SELECT COALESCE(jsonb_object_agg(c.name, CASE
        WHEN c.is_body THEN to_jsonb(billing.blank_text(c.value #>> '{}'))
        WHEN jsonb_typeof(c.value) = 'string' THEN to_jsonb(billing.forgotten_text(c.value #>> '{}', p_pattern, p_form, p_salt))
        WHEN jsonb_typeof(c.value) = 'array' THEN (
            SELECT jsonb_agg(
                CASE jsonb_typeof(e.value)
                    WHEN 'string' THEN to_jsonb(billing.forgotten_text(e.value #>> '{}', p_pattern, p_form, p_salt))
                    ELSE billing.replace_in_json(e.value, p_pattern, p_form)
                END
                ORDER BY e.place
            )
            FROM jsonb_array_elements(c.value) WITH ORDINALITY AS e (value, place)
        )
        ELSE billing.replace_in_json(c.value, p_pattern, p_form)
    END), '{}')
    FROM (
        SELECT
            n.name, p_row -> n.name AS value,
            n.name ~ '(^|_)(body|text|html|subject|content)$' AND jsonb_typeof(p_row -> n.name) = 'string' AS is_body
        FROM unnest(p_columns) AS n (name)
    ) AS c
    WHERE c.is_body
        OR c.value #>> '{}' ~* p_pattern;
$$;

COMMENT ON FUNCTION billing.forget_in_row IS
'The columns among p_columns of p_row (a row as JSON) that change, with what they change to: forgotten_text of texts and of what is
in lists, p_form wherever p_pattern finds something in other JSON; columns named body, text, html, subject or content (or ending so)
as blank_text leaves them.';
