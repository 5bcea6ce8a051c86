-- rate: a measured quantity in units of its resource, close enough to price a sum by.
CREATE OR REPLACE FUNCTION billing.in_units(p_resource_type text, p_measured numeric)
RETURNS numeric
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN p_resource_type <> 'minute' THEN p_measured
        -- Seconds have at most 10 decimals; what three divides is a decimal number of minutes.
        WHEN mod(p_measured * 10000000000, 3) = 0 THEN p_measured * 1.0000000000000000 / 60
        -- Fifty decimals, and never below: a price of exactly half a digit is then still rounded up.
        ELSE p_measured * 1.00000000000000000000000000000000000000000000000000 / 60 + 1e-50
    END;
$$;

COMMENT ON FUNCTION billing.in_units IS
'p_measured (seconds for minutes, else units) in units of the resource. Thirds of a minute are no decimal numbers: they
come to 50 decimals, so that whatever tier prices them, its rounding to 10 decimals is that of the exact fraction.';
