-- rate: the rate cards to search for a tenant, in order.
CREATE OR REPLACE FUNCTION billing.list_cards(p_tenant_id bigint, p_plan_id bigint)
RETURNS bigint[]
LANGUAGE sql
STABLE
PARALLEL SAFE
-- A session that entered its first few prices keeps the plan of a small table, which is to read all of it.
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
    SELECT ARRAY(
        SELECT c.card
        FROM (VALUES (1, p_tenant_id), (2, -p_plan_id), (3, 0)) AS c (turn, card)
        WHERE c.card = 0
            -- The first of a card, in the order of pricing_rates_card_idx: a deck is not read through to find it.
            OR (
                SELECT r.card
                FROM billing.pricing_rates AS r
                WHERE r.card = c.card
                ORDER BY r.channel, r.resource_type, r.prefix, r.effective_from
                LIMIT 1
            ) IS NOT NULL
        ORDER BY c.turn
    );
$$;

COMMENT ON FUNCTION billing.list_cards IS
'The tenant''s own card and its plan''s where they have a price, whether in force or not, then the default card 0.';
