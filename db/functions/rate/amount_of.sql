-- rate: the amount that a JSON value stands for.
CREATE OR REPLACE FUNCTION billing.amount_of(p_value jsonb)
RETURNS numeric
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    -- Strings in the notation of JSON numbers only: numeric itself would take NaN, hexadecimal and underscores.
    SELECT CASE jsonb_typeof(p_value)
        WHEN 'number' THEN p_value::numeric
        WHEN 'string' THEN CASE
            WHEN p_value #>> '{}' ~ '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$'
                AND length(p_value #>> '{}') <= 200
                THEN (p_value #>> '{}')::numeric
        END
    END;
$$;

COMMENT ON FUNCTION billing.amount_of IS
'The number in a JSON number or string (plain decimal or exponent notation); NULL when it is none.';
