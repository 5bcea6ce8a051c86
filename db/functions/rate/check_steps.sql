-- rate: refuses steps that do not follow each other from 0 on.
CREATE OR REPLACE FUNCTION billing.check_steps(p_steps jsonb)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
DECLARE
    v_place text;
    v_from numeric;
    v_from_before numeric;
BEGIN
    PERFORM billing.check_list('steps', p_steps);
    FOR v_number IN 1 .. jsonb_array_length(p_steps) LOOP
        v_place := format('step %s', v_number);
        PERFORM billing.check_amounts(
            v_place, p_steps -> v_number - 1,
            '{from, unit_price}', '{per, increment}', p_positive => '{per, increment}'
        );
        v_from := billing.amount_of(p_steps -> v_number - 1 -> 'from');
        IF v_number = 1 AND v_from <> 0 THEN
            PERFORM billing.refuse_terms(format('%s: from is %s.', v_place, v_from), 'The first step begins at 0.');
        ELSIF v_from <= v_from_before THEN
            PERFORM billing.refuse_terms(
                format('%s: from is %s, after %s.', v_place, v_from, v_from_before), 'Each step begins after the one before.'
            );
        END IF;
        v_from_before := v_from;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.check_steps IS
'Raises UB005 unless p_steps are the steps of a stepped price: the first from 0, each from further on, per and increment
above 0 where given.';
