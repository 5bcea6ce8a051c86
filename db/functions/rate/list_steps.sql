-- rate: how a stepped price walks through a quantity.
CREATE OR REPLACE FUNCTION billing.list_steps(p_terms jsonb, p_quantity numeric)
RETURNS TABLE (step integer, from_quantity numeric, quantity numeric, billed numeric, unit_price numeric, per numeric)
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
DECLARE
    v_steps jsonb := p_terms -> 'steps';
    v_step jsonb;
    v_next_from numeric := 0;
    v_increment numeric;
BEGIN
    -- Who asks for a price that was never entered (explain_charge) may have none.
    FOR v_number IN 1 .. COALESCE(jsonb_array_length(v_steps), 0) LOOP
        EXIT WHEN v_next_from >= p_quantity;
        v_step := v_steps -> v_number - 1;
        step := v_number;
        from_quantity := v_next_from;
        v_next_from := COALESCE((v_steps -> v_number ->> 'from')::numeric, p_quantity);
        quantity := LEAST(p_quantity, v_next_from) - from_quantity;
        v_increment := COALESCE((v_step ->> 'increment')::numeric, 0);
        billed := billing.bill_seconds(quantity, 0, v_increment);
        unit_price := (v_step ->> 'unit_price')::numeric;
        per := COALESCE((v_step ->> 'per')::numeric, 1);
        RETURN NEXT;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.list_steps IS
'The steps of p_terms that p_quantity reaches: the part of it that lies in each, that part billed in the step''s own
increments, and the price of per units there. p_terms are those of a stepped price, checked. No rows for 0.';
