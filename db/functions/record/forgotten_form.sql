-- record: what is left of a number.
CREATE OR REPLACE FUNCTION billing.forgotten_form(p_mode text, p_needle text, p_salt bytea)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT billing.known_prefix(p_needle)
        || CASE p_mode WHEN 'pseudonymise' THEN billing.pseudonym(p_salt, p_needle) ELSE '***' END;
$$;

COMMENT ON FUNCTION billing.forgotten_form IS
'What stands for a number after forget_subject: its known_prefix and ***, and in mode pseudonymise what it is told by from others.';
