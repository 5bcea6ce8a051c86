-- rate: refuses what is no list of steps or tiers.
CREATE OR REPLACE FUNCTION billing.check_list(p_key text, p_list jsonb)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
BEGIN
    IF jsonb_typeof(p_list) IS DISTINCT FROM 'array' THEN
        PERFORM billing.refuse_terms(
            CASE WHEN p_list IS NULL THEN format('%s is missing.', p_key) ELSE format('%s is %s.', p_key, left(p_list::text, 100)) END,
            'It is a JSON array of objects.'
        );
    ELSIF jsonb_array_length(p_list) NOT BETWEEN 1 AND 1000 THEN
        PERFORM billing.refuse_terms(
            format('%s has %s elements.', p_key, jsonb_array_length(p_list)), 'It has 1 to 1000.'
        );
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.check_list IS
'Raises UB005 unless p_list, the value of p_key in some terms, is a JSON array of 1 to 1000 elements.';
