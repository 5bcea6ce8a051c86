-- rate: billed quantity to money, and the only rounding of a record.
CREATE OR REPLACE FUNCTION billing.cost_per_unit(
    p_billed numeric,
    p_per numeric,
    p_unit_price numeric,
    p_connection_fee numeric,
    p_minimum_charge numeric
)
RETURNS numeric
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    -- The zeros give the quotient fourteen decimals more than its dividend has, however large it is: a division by 60
    -- can then never round a value just below half a unit up to the half, to be rounded up once more.
    SELECT CASE
        WHEN p_billed = 0 THEN 0.0000000000
        ELSE round(
            GREATEST((p_billed * p_unit_price + p_connection_fee * p_per) * 1.00000000000000 / p_per, p_minimum_charge),
            10
        )
    END;
$$;

COMMENT ON FUNCTION billing.cost_per_unit IS
'p_billed * p_unit_price / p_per + p_connection_fee, at least p_minimum_charge; 0 for nothing billed. p_per is 60 when
p_billed is seconds and the price is for a minute, else 1. Multiplied before divided, rounded once to 10 decimals,
half away from zero. Major units of the rate''s currency.';
