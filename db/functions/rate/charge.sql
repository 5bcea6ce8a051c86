-- rate: the pure price of a quantity.
CREATE OR REPLACE FUNCTION billing.charge(
    p_model text,
    p_terms jsonb,
    p_quantity numeric,
    p_events integer DEFAULT 1
)
RETURNS numeric
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
BEGIN
    PERFORM billing.check_terms(p_model, p_terms);
    IF (p_quantity >= 0 AND p_quantity < 1e100 AND scale(p_quantity) <= 1000) IS NOT TRUE OR (p_events >= 0) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad quantity or number of events'
            USING ERRCODE = 'UB003',
                DETAIL = format('Quantity is %s, events are %s.',
                    COALESCE(left(p_quantity::text, 100), 'NULL'), COALESCE(p_events::text, 'NULL')),
                HINT = 'Both are finite and not negative; a quantity is below 1e100 and has at most 1000 decimals.';
    END IF;
    RETURN billing.apply_terms(p_model, p_terms, p_quantity, p_events);
END;
$$;

COMMENT ON FUNCTION billing.charge IS
'What p_quantity costs by the charge model p_model and its p_terms, major units of some currency, exact and rounded once
to 10 decimals, half away from zero. p_quantity is in the units that the terms price: seconds for a call, per being 60;
for the percentages an amount of money, made of p_events events. Raises UB005 for bad terms, UB003 for a bad quantity.
per_unit {unit_price, per=1, initial_increment=0, increment=0, connection_fee=0, minimum_charge=0, maximum_charge=null}.
stepped {connection_fee=0, steps: [{from, unit_price, per=1, increment}]}: each step rounds up to its own increment.
graduated {tiers: [{up_to, unit_price, flat_fee=0}]}: each unit at its own tier''s price; volume, same terms:
all at the price of the tier that holds the total.
package {package_size, package_price, free_units=0}: whole packages.
percentage {rate, fixed_fee=0, free_events=0, free_amount=0, minimum=null, maximum=null}: rate 1.3 is 1.3 %.
graduated_percentage {tiers: [{up_to, rate, flat_fee=0}]}.
A quantity of 0 costs 0, except the flat fee of a first tier; what is wholly free costs no minimum.';
