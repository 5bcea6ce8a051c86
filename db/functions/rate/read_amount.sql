-- rate: a number as rate decks write it, and what is wrong with it.
CREATE OR REPLACE FUNCTION billing.read_amount(p_text text, p_divisor numeric DEFAULT 1)
RETURNS TABLE (amount numeric, problem text)
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT
        CASE WHEN n.fault IS NULL THEN trim_scale(div(n.value * 1e20, p_divisor) * 1e-20) END,
        n.fault
    FROM (
        SELECT
            v.value,
            CASE
                WHEN p_text IS NULL OR p_text = '' THEN NULL
                WHEN p_text ~* '^[+-]?(nan|inf(inity)?)$' THEN format('is not finite: %s', p_text)
                WHEN v.value IS NULL THEN format('is not a number: %s', left(p_text, 40))
                WHEN v.value < 0 THEN format('is negative: %s', p_text)
                -- The quotient is exact or refused, never rounded.
                WHEN mod(v.value * 1e20, p_divisor) <> 0 THEN format('has more than 20 decimals: %s', p_text)
            END AS fault
        FROM (
            SELECT CASE
                WHEN length(p_text) <= 40 AND p_text ~ E'^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]{1,2})?$'
                    THEN p_text::numeric
            END AS value
        ) AS v
    ) AS n;
$$;

COMMENT ON FUNCTION billing.read_amount IS
'p_text (decimal point, no thousands separators, an exponent at will) divided by p_divisor, exactly. problem: what is
wrong with it, to follow the name of the field, and amount is NULL then. Both NULL: the field is empty.';
