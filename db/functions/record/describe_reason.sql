-- record: why something failed, in words that name nobody.
CREATE OR REPLACE FUNCTION billing.describe_reason(p_sqlstate text, p_message text, p_context jsonb)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT billing.hide_values(
        -- RAISE says what its author likes, under any SQLSTATE. Ours are known to name nobody.
        CASE
            WHEN p_sqlstate LIKE 'UB%' OR (split_part(p_context ->> 'where', E'\n', 1) ~ ' at RAISE$') IS NOT TRUE THEN p_sqlstate
        END,
        p_message
    );
$$;

COMMENT ON FUNCTION billing.describe_reason IS
'unrated_usage.reason of an error, from its SQLSTATE, its message and its context (describe_error): hide_values, and nothing of
what a function of the application raised.';
