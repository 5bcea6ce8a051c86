-- record: a number or address as people write it, and how it is found in what others wrote.
CREATE OR REPLACE FUNCTION billing.read_subject(p_number text, OUT needle text, OUT pattern text)
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
BEGIN
    needle := lower(billing.normalize_destination(btrim(p_number)));
    IF needle ~ '^[0-9]{6,15}$' THEN
        pattern := E'(?<![0-9])(\\+|00)?' || (
            SELECT string_agg(digit, '[ ().-]{0,2}' ORDER BY place)
            FROM string_to_table(needle, NULL) WITH ORDINALITY AS digits (digit, place)
        ) || '(?![0-9])';
    ELSIF needle ~ '^[^@[:space:]]+@[^@[:space:]]+$' THEN
        pattern := '(?<![[:alnum:]._%+-])'
            || regexp_replace(btrim(p_number), E'([]\\\\^$.|?*+(){}[])', E'\\\\\\1', 'g')
            || '(?![.]?[[:alnum:]-])';
    ELSE
        RAISE EXCEPTION 'neither a number nor an address'
            USING ERRCODE = 'UB012',
                DETAIL = 'A number has 6 to 15 digits, an address one @.',
                HINT = 'Give the number with its country code (E.164), with or without +, or the email address.';
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.read_subject IS
'needle: p_number (E.164 with or without +, or an email address) as normalize_destination and lower leave it. pattern: a regular
expression, to be used without regard to case, that finds it in a text: a number with + or 00 or neither before it, with spaces,
dots, dashes and brackets between its digits, and no other digit beside it. Raises UB012.';
