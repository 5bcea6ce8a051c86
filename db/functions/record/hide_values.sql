-- record: what PostgreSQL said, without the application's data.
CREATE OR REPLACE FUNCTION billing.hide_values(p_sqlstate text, p_message text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    -- Class 22 quotes the value that it stumbled over, which may be a number or a body; other classes quote names.
    SELECT CASE WHEN p_sqlstate LIKE '22%' THEN regexp_replace(p_message, '".*"', '"..."') ELSE p_message END;
$$;

COMMENT ON FUNCTION billing.hide_values IS
'An error''s message as unrated_usage.reason keeps it: of data exceptions (class 22), the value is left out.';
