-- invoice: which lines a coupon is for.
CREATE OR REPLACE FUNCTION billing.is_discounted(p_coupon_kind text, p_coupon_channel text, p_kind text, p_channel text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT (p_coupon_channel IS NULL OR p_coupon_channel = p_channel IS TRUE)
        AND CASE p_coupon_kind
            WHEN 'usage' THEN p_channel IS NOT NULL
            WHEN 'plan_fee' THEN p_kind IN ('plan_fee', 'proration')
            WHEN 'recurring' THEN p_kind = 'recurring'
            ELSE true
        END;
$$;

COMMENT ON FUNCTION billing.is_discounted IS
'Whether a coupon for lines of p_coupon_kind and p_coupon_channel (NULL: all) is for a line: usage counts with what the plan
includes of it, a fee whole or prorated.';
