-- measure: an instant that a table keeps as text.
CREATE OR REPLACE FUNCTION billing.read_instant(p_text text)
RETURNS timestamptz
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET TimeZone = 'UTC'
SET DateStyle = 'ISO, YMD'
AS $$
BEGIN
    RETURN p_text::timestamptz;
END;
$$;

COMMENT ON FUNCTION billing.read_instant IS
'p_text as an instant, in UTC where it names no zone, whatever the session''s settings. Raises what PostgreSQL does for text that is
no time.';
