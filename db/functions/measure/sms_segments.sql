-- measure: how many segments a text takes on the air.
CREATE OR REPLACE FUNCTION billing.sms_segments(p_body text, OUT encoding text, OUT segments integer)
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
DECLARE
    -- COLLATE: a column's own may be one that knows no regular expressions.
    v_text text COLLATE "C" := COALESCE(p_body, '');
    -- 3GPP TS 23.038, 6.2.1: the 127 characters of the default alphabet, ESC being none. By code point, so that this
    -- file loads into a database of any encoding.
    v_alphabet CONSTANT text COLLATE "C" := E'\\n\\r -Z_a-z'
        '\\u00A1\\u00A3-\\u00A5\\u00A7\\u00BF\\u00C4-\\u00C7\\u00C9\\u00D1\\u00D6\\u00D8\\u00DC\\u00DF'
        '\\u00E0\\u00E4-\\u00E6\\u00E8\\u00E9\\u00EC\\u00F1\\u00F2\\u00F6\\u00F8\\u00F9\\u00FC'
        '\\u0393\\u0394\\u0398\\u039B\\u039E\\u03A0\\u03A3\\u03A6\\u03A8\\u03A9';
    -- 6.2.1.1: those of its extension table, each sent after an ESC: form feed, ^ { } \ [ ~ ] | and the euro sign.
    v_extension CONSTANT text COLLATE "C" := E'\\f^{}\\\\\\[~\\]|\\u20AC';
    v_single integer := 160;
    v_part integer := 153;
    v_units text[];
    v_next integer := 1;
BEGIN
    encoding := 'GSM-7';
    IF v_text ~ ('[^' || v_alphabet || ']') THEN
        IF v_text !~ ('[^' || v_alphabet || v_extension || ']') THEN
            -- One character for each septet from here on.
            v_text := regexp_replace(v_text, '[' || v_extension || ']', E'\x1B\\&', 'g');
        ELSE
            encoding := 'UCS-2';
            v_single := 70;
            v_part := 67;
            -- One character for each UTF-16 code unit: of a surrogate pair the first is written ESC.
            v_text := regexp_replace(translate(v_text, E'\x1B', ' '), E'[\\U00010000-\\U0010FFFF]', E'\x1B\\&', 'g');
        END IF;
    END IF;

    IF length(v_text) <= v_single THEN
        segments := 1;
    ELSIF strpos(v_text, E'\x1B') = 0 THEN
        segments := (length(v_text) + v_part - 1) / v_part;
    ELSE
        -- An array, so that a text of any length is walked through once.
        v_units := string_to_array(v_text, NULL);
        segments := 0;
        WHILE v_next <= cardinality(v_units) LOOP
            segments := segments + 1;
            -- What would be torn apart goes into the next part whole.
            v_next := v_next + v_part - CASE WHEN v_units[v_next + v_part - 1] = E'\x1B' THEN 1 ELSE 0 END;
        END LOOP;
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.sms_segments IS
'encoding (GSM-7 or UCS-2) and number of segments of an SMS with text p_body, by 3GPP TS 23.038: 160 septets in one
message, 153 in each part of a longer one, a character of the extension table being two; or 70 and 67 UTF-16 code units
as soon as one character is not in GSM-7. No part ends within an escape or a surrogate pair. Empty or NULL, no text: one
segment of GSM-7.';
