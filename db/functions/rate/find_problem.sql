-- rate: what is wrong with a row's quantity before anything is looked up.
CREATE OR REPLACE FUNCTION billing.find_problem(p_quantity numeric, p_resource_type text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN p_quantity > 0 AND p_quantity <= billing.largest_quantity(p_resource_type) THEN NULL
        ELSE 'UB003'
    END;
$$;

COMMENT ON FUNCTION billing.find_problem IS
'UB003 for a row''s quantity that is NULL, negative, NaN, infinite or absurdly large; NULL when it can be priced.';
