-- record: what becomes of a text of the application that holds a forgotten number or address.
CREATE OR REPLACE FUNCTION billing.forgotten_text(p_text text, p_pattern text, p_form text, p_salt bytea)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN p_text !~* p_pattern THEN p_text
        -- Recipients are counted: who is told apart stays told apart.
        WHEN strpos(p_text, '@') > 0 THEN billing.pseudonym(p_salt, p_text)
        ELSE regexp_replace(p_text, p_pattern, p_form, 'gi')
    END;
$$;

COMMENT ON FUNCTION billing.forgotten_text IS
'p_text with p_form for what p_pattern finds. A text with an @ is replaced as a whole, names and all, by a pseudonym that is another
for each way an address is written.';
