-- rate: whether a charge model prices a period's whole quantity.
CREATE OR REPLACE FUNCTION billing.is_period_priced(p_model text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT p_model IN ('graduated', 'volume', 'package', 'percentage', 'graduated_percentage');
$$;

COMMENT ON FUNCTION billing.is_period_priced IS
'true for graduated, volume, package, percentage and graduated_percentage, which price the whole quantity of a billing
period; false for per_unit and stepped, which price each call or message. NULL for NULL.';
