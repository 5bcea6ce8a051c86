-- rate: refuses an object whose keys are not the given ones, or not all amounts.
CREATE OR REPLACE FUNCTION billing.check_amounts(
    p_place text,
    p_object jsonb,
    p_required text[],
    p_optional text[],
    p_nullable text[] DEFAULT '{}',
    p_positive text[] DEFAULT '{}'
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
DECLARE
    v_known text[] := p_required || p_optional || p_nullable;
    v_key text;
    v_value jsonb;
    v_amount numeric;
BEGIN
    IF jsonb_typeof(p_object) IS DISTINCT FROM 'object' THEN
        PERFORM billing.refuse_terms(
            format('%s: %s.', p_place, COALESCE(left(p_object::text, 100), 'NULL')), 'It is a JSON object.'
        );
    END IF;
    IF p_object - v_known <> '{}' THEN
        PERFORM billing.refuse_terms(
            format('%s: unknown key %s.', p_place, (
                SELECT string_agg(quote_ident(left(key, 100)), ', ' ORDER BY key)
                FROM (SELECT jsonb_object_keys(p_object - v_known) AS key LIMIT 5) AS unknown
            )),
            format('Its keys are %s.', array_to_string(v_known, ', '))
        );
    END IF;
    FOREACH v_key IN ARRAY v_known LOOP
        v_value := p_object -> v_key;
        v_amount := billing.amount_of(v_value);
        CONTINUE WHEN v_amount >= 0 AND v_amount < 1e30 AND scale(v_amount) <= 20
            AND (v_amount > 0 OR NOT v_key = ANY (p_positive));
        CONTINUE WHEN v_value IS NULL AND NOT v_key = ANY (p_required);
        CONTINUE WHEN v_value = 'null' AND v_key = ANY (p_nullable);
        IF v_value IS NULL THEN
            PERFORM billing.refuse_terms(format('%s: %s is missing.', p_place, v_key), 'It has no default.');
        END IF;
        PERFORM billing.refuse_terms(
            format('%s: %s is %s.', p_place, v_key, left(v_value::text, 100)),
            format('It is a number or a string with one: %s, below 1e30, with at most 20 decimals.',
                CASE WHEN v_key = ANY (p_positive) THEN 'above 0' ELSE 'not negative' END)
        );
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.check_amounts IS
'Raises UB005 unless p_object is a JSON object with all keys of p_required, none beyond p_optional and p_nullable, and a
finite amount, not negative, under each: above 0 for p_positive; JSON null too for p_nullable. p_place says in the error
what p_object is.';
