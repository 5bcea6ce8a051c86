-- rate: the price in force for a destination at an instant, as a rule. The fast way is price_usage.
CREATE OR REPLACE FUNCTION billing.find_rate(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_destination text,
    p_at timestamptz DEFAULT now()
)
RETURNS billing.pricing_rates
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT found.rate
    FROM (
        SELECT t.tenant_id, t.plan_id, t.currency
        FROM billing.tenant_terms AS t
        WHERE t.tenant_id = p_tenant_id
            AND t.valid_from <= p_at
        ORDER BY t.valid_from DESC
        LIMIT 1
    ) AS terms
    CROSS JOIN LATERAL (VALUES (1, terms.tenant_id), (2, -terms.plan_id), (3, 0)) AS c (turn, card)
    -- Of each card the longest prefix, whatever its currency: a shorter one must not step in for it.
    CROSS JOIN LATERAL (
        SELECT candidate AS rate
        FROM billing.pricing_rates AS candidate
        WHERE candidate.card = c.card
            AND candidate.channel = p_channel
            AND candidate.resource_type = p_resource_type
            AND candidate.is_active
            AND candidate.effective_from <= p_at
            AND (candidate.effective_until IS NULL OR candidate.effective_until > p_at)
            AND starts_with(COALESCE(billing.normalize_destination(p_destination), ''), candidate.prefix)
        ORDER BY length(candidate.prefix) DESC
        LIMIT 1
    ) AS found
    WHERE (found.rate).currency = terms.currency
    ORDER BY c.turn
    LIMIT 1;
$$;

COMMENT ON FUNCTION billing.find_rate IS
'The price in force for p_destination (E.164, with or without +) at p_at. The tenant''s own card is searched
first, then its plan''s, then the default; within the first card that matches, the longest prefix wins. A price in
another currency than the tenant''s does not match. NULL when no card has a price: the caller decides what that means.';
