-- rate: a recorded quantity as it was measured.
CREATE OR REPLACE FUNCTION billing.in_seconds(p_resource_type text, p_quantity numeric)
RETURNS numeric
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE WHEN p_resource_type = 'minute' THEN round(p_quantity * 60, 10) ELSE p_quantity END;
$$;

COMMENT ON FUNCTION billing.in_seconds IS
'p_quantity in units of the resource: minutes as seconds, to the last digit (20 s are 0.333... minutes, and three times
that is not one minute), anything else as it is.';
