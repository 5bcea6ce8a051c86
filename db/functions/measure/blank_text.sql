-- measure: a text of as many segments that says nothing.
CREATE OR REPLACE FUNCTION billing.blank_text(p_text text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE WHEN s.segments = 1 THEN '***' ELSE repeat('*', 153 * s.segments) END
    FROM billing.sms_segments(p_text) AS s
    WHERE p_text IS NOT NULL;
$$;

COMMENT ON FUNCTION billing.blank_text IS 'Asterisks that take as many segments as p_text; NULL for NULL.';
