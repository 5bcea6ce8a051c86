-- measure: the digits of a number, as rate decks write them.
CREATE OR REPLACE FUNCTION billing.normalize_destination(p_destination text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT NULLIF(translate(p_destination, '+ -().', ''), '');
$$;

COMMENT ON FUNCTION billing.normalize_destination IS
'p_destination (E.164, with or without +, with or without spaces, dashes, dots and brackets) as bare digits. What is
not a number, a SIP address say, stays as it is and matches only prices for every destination. NULL: none.';
