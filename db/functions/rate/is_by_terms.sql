-- rate: whether a rate's columns alone tell its price.
CREATE OR REPLACE FUNCTION billing.is_by_terms(p_charge_model text, p_terms jsonb)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT p_charge_model <> 'per_unit' OR p_terms <> '{}';
$$;

COMMENT ON FUNCTION billing.is_by_terms IS 'true: price_by_terms prices it; false: unit price, increments, fee and minimum are all.';
