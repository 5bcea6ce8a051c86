-- rate: the prices of a card in force at an instant.
CREATE OR REPLACE FUNCTION billing.list_rates(
    p_card text,
    p_channel text DEFAULT NULL,
    p_resource_type text DEFAULT NULL,
    p_prefix text DEFAULT '',
    p_at timestamptz DEFAULT now()
)
RETURNS SETOF billing.pricing_rates
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT r.*
    FROM billing.pricing_rates AS r
    WHERE r.card = (SELECT billing.find_card(p_card))
        AND (p_channel IS NULL OR r.channel = p_channel)
        AND (p_resource_type IS NULL OR r.resource_type = p_resource_type)
        AND starts_with(r.prefix, COALESCE(billing.normalize_destination(p_prefix), ''))
        AND r.is_active
        AND r.effective_from <= p_at
        AND (r.effective_until IS NULL OR r.effective_until > p_at)
    ORDER BY r.channel, r.resource_type, r.prefix;
$$;

COMMENT ON FUNCTION billing.list_rates IS
'The prices of the card p_card (default, plan:NAME, tenant:ID) in force at p_at whose prefix begins with p_prefix (with
or without +). p_channel and p_resource_type NULL: all of them.';
