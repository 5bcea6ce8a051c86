-- rate: refuses terms of a charge model that could not be trusted.
CREATE OR REPLACE FUNCTION billing.check_terms(p_model text, p_terms jsonb)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
DECLARE
    v_least text;
    v_most text;
BEGIN
    IF jsonb_typeof(p_terms) IS DISTINCT FROM 'object' THEN
        PERFORM billing.refuse_terms(
            format('Terms are %s.', COALESCE(left(p_terms::text, 100), 'NULL')), 'Terms are a JSON object.'
        );
    END IF;

    CASE p_model
        WHEN 'per_unit' THEN
            PERFORM billing.check_amounts(
                'terms', p_terms, '{unit_price}',
                '{per, initial_increment, increment, connection_fee, minimum_charge}', '{maximum_charge}', '{per}'
            );
            v_least := 'minimum_charge';
            v_most := 'maximum_charge';
        WHEN 'stepped' THEN
            PERFORM billing.check_steps(p_terms -> 'steps');
            PERFORM billing.check_amounts('terms', p_terms - 'steps', '{}', '{connection_fee}');
        WHEN 'graduated', 'volume' THEN
            PERFORM billing.check_tiers(p_terms -> 'tiers', 'unit_price');
            PERFORM billing.check_amounts('terms', p_terms - 'tiers', '{}', '{}');
        WHEN 'graduated_percentage' THEN
            PERFORM billing.check_tiers(p_terms -> 'tiers', 'rate');
            PERFORM billing.check_amounts('terms', p_terms - 'tiers', '{}', '{}');
        WHEN 'package' THEN
            PERFORM billing.check_amounts(
                'terms', p_terms, '{package_size, package_price}', '{free_units}', p_positive => '{package_size}'
            );
        WHEN 'percentage' THEN
            PERFORM billing.check_amounts(
                'terms', p_terms, '{rate}', '{fixed_fee, free_events, free_amount}', '{minimum, maximum}'
            );
            IF scale(trim_scale(billing.amount_of(p_terms -> 'free_events'))) > 0 THEN
                PERFORM billing.refuse_terms(
                    format('terms: free_events is %s.', p_terms -> 'free_events'), 'It is a whole number.'
                );
            END IF;
            v_least := 'minimum';
            v_most := 'maximum';
        ELSE
            PERFORM billing.refuse_terms(
                format('There is no charge model %s.', COALESCE(quote_literal(left(p_model, 100)), 'NULL')),
                'Charge models are per_unit, stepped, graduated, volume, package, percentage and graduated_percentage.'
            );
    END CASE;

    IF billing.amount_of(p_terms -> v_most) < billing.amount_of(p_terms -> v_least) THEN
        PERFORM billing.refuse_terms(
            format('terms: %s is %s, and %s is %s.', v_least, p_terms ->> v_least, v_most, p_terms ->> v_most),
            'The most that it costs is not below the least.'
        );
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.check_terms IS
'Raises UB005 for an unknown charge model and for terms that are not the model''s: keys it does not know or that are
missing, values that are no finite amounts, tiers out of order or without an open end, increments, sizes and divisors of
0, a maximum below the minimum. DETAIL names the key, step or tier.';
