-- rate: keeps one card's prices for one resource as they are looked up.
CREATE OR REPLACE FUNCTION billing.resolve_prices(p_card bigint, p_channel text, p_resource_type text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    -- Two changes of one card at a time would each flatten without the other.
    PERFORM billing.lock_card(p_card, p_channel, p_resource_type);

    -- The first price of a card puts the card on the list of those who may use it. No other leaves it here: one may be listed
    -- for a first price that nobody else sees yet (see tenant_changed).
    UPDATE billing.tenant_terms AS t
    SET cards = ARRAY(
        SELECT c.card
        FROM unnest(ARRAY[t.tenant_id, -t.plan_id, 0]) WITH ORDINALITY AS c (card, turn)
        WHERE c.card = ANY (t.cards || p_card)
        ORDER BY c.turn
    )
    WHERE (t.tenant_id = p_card OR t.plan_id = -p_card)
        AND p_card <> ALL (t.cards);

    DELETE FROM billing.resolved_prices
    WHERE card = p_card
        AND channel = p_channel
        AND resource_type = p_resource_type;

    INSERT INTO billing.resolved_prices (
        card, channel, resource_type, lo, valid_from, rate_id, currency,
        unit_price, initial_increment, billing_increment, connection_fee, minimum_charge, by_terms, longest, changes
    )
    SELECT *
    FROM billing.flatten_prices(p_card, p_channel, p_resource_type);
END;
$$;

COMMENT ON FUNCTION billing.resolve_prices IS
'Writes billing.resolved_prices anew for one card, channel and resource. Cost grows with the card, not with usage.';
