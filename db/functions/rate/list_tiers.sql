-- rate: the tiers that a quantity enters, and what each adds.
CREATE OR REPLACE FUNCTION billing.list_tiers(p_model text, p_terms jsonb, p_quantity numeric)
RETURNS TABLE (
    tier integer,
    from_quantity numeric,
    up_to numeric,
    quantity numeric,
    unit_price numeric,
    flat_fee numeric,
    amount numeric
)
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
DECLARE
    v_tiers jsonb := p_terms -> 'tiers';
    v_tier jsonb;
    v_is_last boolean;
BEGIN
    from_quantity := 0;
    FOR v_number IN 1 .. jsonb_array_length(v_tiers) LOOP
        v_tier := v_tiers -> v_number - 1;
        up_to := (v_tier ->> 'up_to')::numeric;
        v_is_last := (p_quantity > up_to) IS NOT TRUE;
        IF v_is_last OR p_model <> 'volume' THEN
            tier := v_number;
            quantity := LEAST(p_quantity, up_to) - CASE WHEN p_model = 'volume' THEN 0 ELSE from_quantity END;
            unit_price := COALESCE((v_tier ->> 'unit_price')::numeric, (v_tier ->> 'rate')::numeric * 0.01);
            flat_fee := COALESCE((v_tier ->> 'flat_fee')::numeric, 0);
            amount := quantity * unit_price + flat_fee;
            RETURN NEXT;
        END IF;
        EXIT WHEN v_is_last;
        from_quantity := up_to;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.list_tiers IS
'The tiers of p_terms that p_quantity enters (graduated, graduated_percentage: each holds the part above from_quantity)
or the one that holds it (volume: all of it); at 0, the first. up_to is included, NULL: open. unit_price is of one unit;
of a percentage, its hundredth. amount = quantity * unit_price + flat_fee, exact. p_terms are checked.';
