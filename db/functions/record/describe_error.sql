-- record: where in the code something failed.
CREATE OR REPLACE FUNCTION billing.describe_error(p_context text)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    -- Only the functions: a statement may be the application's own, with what it writes.
    SELECT jsonb_build_object('where', (
        SELECT string_agg(line, E'\n' ORDER BY number)
        FROM string_to_table(p_context, E'\n') WITH ORDINALITY AS lines (line, number)
        WHERE line ~ '^(PL/pgSQL|SQL) function '
    ));
$$;

COMMENT ON FUNCTION billing.describe_error IS
'unrated_usage.context of an error, from its PG_EXCEPTION_CONTEXT: the functions that it came through, without personal
data.';
