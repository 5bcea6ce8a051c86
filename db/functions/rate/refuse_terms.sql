-- rate: the error for terms that cannot be trusted.
CREATE OR REPLACE FUNCTION billing.refuse_terms(p_detail text, p_hint text)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
BEGIN
    RAISE EXCEPTION 'bad terms of a rate'
        USING ERRCODE = 'UB005', DETAIL = p_detail, HINT = p_hint;
END;
$$;

COMMENT ON FUNCTION billing.refuse_terms IS
'Raises UB005. p_detail names the key, step or tier and what it says; p_hint what it should say.';
