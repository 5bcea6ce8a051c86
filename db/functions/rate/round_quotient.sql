-- rate: a quotient rounded once, whatever it is divided by.
CREATE OR REPLACE FUNCTION billing.round_quotient(p_dividend numeric, p_divisor numeric)
RETURNS numeric
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    -- How many halves of the tenth decimal are full, in whole numbers: no digit of the quotient itself is cut off.
    SELECT div(p_dividend * 20000000000 + p_divisor, 2 * p_divisor) * 0.0000000001;
$$;

COMMENT ON FUNCTION billing.round_quotient IS
'p_dividend / p_divisor, exact, rounded once to 10 decimals, half up. For p_dividend >= 0 and p_divisor > 0.';
