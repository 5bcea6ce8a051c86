-- rate: the most that one row can believably be worth.
CREATE OR REPLACE FUNCTION billing.largest_quantity(p_resource_type text)
RETURNS numeric
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE WHEN p_resource_type = 'minute' THEN 2678400 ELSE 1000000000 END;
$$;

COMMENT ON FUNCTION billing.largest_quantity IS
'The largest quantity of one row that is billed without asking: 31 days of seconds for minutes, 1e9 units of anything
else. More is set aside as UB003 for a person to look at.';
