-- report: an exact quotient, for people.
CREATE OR REPLACE FUNCTION billing.show_quotient(p_dividend numeric, p_divisor numeric)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN q.value * p_divisor = p_dividend THEN trim_scale(q.value)::text
        ELSE format('%s/%s = %s...', trim_scale(p_dividend), trim_scale(p_divisor), trunc(q.value, 20))
    END
    -- Divided by 60, what ends at all ends three decimals later at most.
    FROM (
        SELECT round(p_dividend * 1.000000000000000000000000000000 / p_divisor, scale(p_dividend) + 30)
    ) AS q (value);
$$;

COMMENT ON FUNCTION billing.show_quotient IS
'p_dividend / p_divisor as a decimal where it ends, else as a fraction with its first 20 decimals: 1/3 = 0.333....
For p_divisor > 0.';
