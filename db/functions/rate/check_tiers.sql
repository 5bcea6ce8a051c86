-- rate: refuses tiers that leave a quantity without a price, or with two.
CREATE OR REPLACE FUNCTION billing.check_tiers(p_tiers jsonb, p_price_key text)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
DECLARE
    v_place text;
    v_required text[] := ARRAY[p_price_key];
    v_up_to numeric;
    v_up_to_before numeric := 0;
    v_is_last boolean;
BEGIN
    PERFORM billing.check_list('tiers', p_tiers);
    FOR v_number IN 1 .. jsonb_array_length(p_tiers) LOOP
        v_place := format('tier %s', v_number);
        PERFORM billing.check_amounts(v_place, p_tiers -> v_number - 1, v_required, '{flat_fee}', '{up_to}', '{up_to}');
        v_up_to := billing.amount_of(p_tiers -> v_number - 1 -> 'up_to');
        v_is_last := v_number = jsonb_array_length(p_tiers);
        IF v_is_last AND v_up_to IS NOT NULL THEN
            PERFORM billing.refuse_terms(
                format('%s: up_to is %s, and what is beyond has no price.', v_place, v_up_to),
                'The last tier is open: its up_to is null or left out.'
            );
        ELSIF NOT v_is_last AND v_up_to IS NULL THEN
            PERFORM billing.refuse_terms(format('%s: up_to is missing.', v_place), 'Only the last tier is open.');
        ELSIF v_up_to <= v_up_to_before THEN
            PERFORM billing.refuse_terms(
                format('%s: up_to is %s, after %s.', v_place, v_up_to, v_up_to_before), 'Each tier ends after the one before.'
            );
        END IF;
        v_up_to_before := v_up_to;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.check_tiers IS
'Raises UB005 unless p_tiers are tiers, each with p_price_key (unit_price or rate), whose up_to rise from above 0 and of
which the last, and only the last, is open.';
