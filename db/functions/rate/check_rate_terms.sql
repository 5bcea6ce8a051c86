-- rate: whether the columns, terms and calendar of a rate say one thing.
CREATE OR REPLACE FUNCTION billing.check_rate_terms(p_rate billing.pricing_rates)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_rate.charge_model = 'per_unit' THEN
        IF jsonb_typeof(p_rate.terms) IS DISTINCT FROM 'object'
            OR p_rate.terms - '{maximum_charge,bands}'::text[] <> '{}'
        THEN
            RAISE EXCEPTION 'unknown terms of a rate'
                USING ERRCODE = 'UB005',
                    DETAIL = format('terms are %s.', p_rate.terms),
                    HINT = 'The terms of per_unit are the columns; terms takes maximum_charge and bands only.';
        END IF;
        -- A maximum below the minimum, or no amount at all.
        PERFORM billing.check_terms('per_unit', jsonb_build_object(
            'unit_price', p_rate.unit_price, 'minimum_charge', p_rate.minimum_charge
        ) || p_rate.terms - 'bands');
        PERFORM billing.check_bands(p_rate.calendar_id, p_rate.terms);
        RETURN;
    END IF;

    IF p_rate.calendar_id IS NOT NULL
        OR p_rate.connection_fee <> 0
        OR p_rate.minimum_charge <> 0
        OR p_rate.unit_price <> billing.headline_price(p_rate.charge_model, p_rate.resource_type, p_rate.terms)
        OR p_rate.charge_model = 'stepped' AND (p_rate.initial_increment, p_rate.billing_increment) <> (1, 1)
    THEN
        RAISE EXCEPTION 'a rate with two prices'
            USING ERRCODE = 'UB005',
                DETAIL = format('The prices of %s are in its terms; unit_price is %s, connection_fee %s, minimum_charge %s, increments %s/%s, calendar_id %s.',
                    p_rate.charge_model, p_rate.unit_price, p_rate.connection_fee, p_rate.minimum_charge,
                    p_rate.initial_increment, p_rate.billing_increment, COALESCE(p_rate.calendar_id::text, 'NULL')),
                HINT = 'Leave these columns out. Increments may stand beside the price of a period, to round each call before it is added up.';
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.check_rate_terms IS
'Raises UB005 for terms that the rate''s charge model does not know or that contradict its columns. check_terms has seen
the terms of every model but per_unit before.';
