-- operate: which function of billing was called, as a stack of calls tells it.
CREATE OR REPLACE FUNCTION billing.find_caller(p_context text)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, billing, pg_temp
AS $$
    -- The outermost call stands last.
    SELECT c.called[1]
    FROM regexp_matches(p_context, E'^(?:PL/pgSQL|SQL) function "?(?:billing\\.)?([a-z0-9_]+)', 'gn')
        WITH ORDINALITY AS c (called, number)
    WHERE c.called[1] !~ '^note_'
        AND EXISTS (
            SELECT FROM pg_proc AS p WHERE p.pronamespace = 'billing'::regnamespace AND p.proname = c.called[1]
        )
    ORDER BY c.number DESC
    LIMIT 1;
$$;

COMMENT ON FUNCTION billing.find_caller IS
'The outermost function of billing in p_context (PG_CONTEXT); NULL: none, so it was done by hand. It tells, it does not prove.';
