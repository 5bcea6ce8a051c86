-- record: what PostgreSQL said, without the application's data.
CREATE OR REPLACE FUNCTION billing.hide_values(p_sqlstate text, p_message text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN p_sqlstate LIKE 'UB%' THEN p_message
        -- What a function of the application says by itself may be anything.
        WHEN p_sqlstate !~ '^([0-5]|XX)' OR p_sqlstate IS NULL THEN '...'
        ELSE regexp_replace(
            regexp_replace(
                -- Class 22 quotes the value that it stumbled over, which may be a number or a body; other classes quote names.
                CASE WHEN p_sqlstate LIKE '22%' THEN regexp_replace(p_message, '".*"', '"..."') ELSE p_message END,
                '[^[:space:]"]+@[^[:space:]"]+', '...', 'g'
            ),
            E'\\+?[0-9][0-9 ().-]{4,}[0-9]', '...', 'g'
        )
    END;
$$;

COMMENT ON FUNCTION billing.hide_values IS
'An error''s message as unrated_usage.reason keeps it: of data exceptions (class 22) the value is left out, of all what may be a
number or an address. A message that is neither ours (UB) nor PostgreSQL''s: nothing is kept but its SQLSTATE.';
