-- invoice: how a line of a period reads.
CREATE OR REPLACE FUNCTION billing.describe_charge(p_charge billing.period_charge)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE p_charge.kind
        WHEN 'usage' THEN billing.describe_usage(p_charge.channel, p_charge.resource_type, p_charge.quantity)
        WHEN 'credit' THEN 'Included: ' || billing.describe_usage(p_charge.channel, p_charge.resource_type, p_charge.quantity)
        WHEN 'adjustment' THEN CASE WHEN p_charge.amount > 0 THEN 'Minimum spend' ELSE 'Maximum spend' END
    END;
$$;

COMMENT ON FUNCTION billing.describe_charge IS
'Description of a line: "Voice Calls - 150 minutes", "Included: Voice Calls - 100 minutes", "Minimum spend".';
