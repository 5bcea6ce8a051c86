-- rate: a measured quantity in units of its resource, close enough to price a sum by.
CREATE OR REPLACE FUNCTION billing.in_units(p_resource_type text, p_measured numeric)
RETURNS numeric
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    -- Fifty decimals: whatever tier price follows, its rounding to 10 decimals is that of the exact fraction.
    SELECT CASE
        WHEN p_resource_type = 'minute' THEN p_measured * 1.00000000000000000000000000000000000000000000000000 / 60
        ELSE p_measured
    END;
$$;

COMMENT ON FUNCTION billing.in_units IS
'p_measured (seconds for minutes, else units) in units of the resource, to 50 decimals: what the tiers of a period are
applied to.';
