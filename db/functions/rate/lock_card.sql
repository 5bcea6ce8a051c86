-- rate: one writer at a time for a card's prices of a resource.
CREATE OR REPLACE FUNCTION billing.lock_card(p_card bigint, p_channel text, p_resource_type text)
RETURNS void
LANGUAGE plpgsql
-- Any login may hold an advisory lock.
SET lock_timeout = '60s'
AS $$
BEGIN
    -- Whose first price this is: who becomes one of those who may use the card meanwhile (see tenant_changed) either sees the
    -- price or is waited for; he would never get to know the card otherwise. Before the card, for who changes a tenant and
    -- then its prices locks them in this order.
    IF p_card <> 0 AND NOT EXISTS (SELECT FROM billing.resolved_prices WHERE card = p_card) THEN
        IF p_card < 0 THEN
            -- An older snapshot would not see who has joined the plan since, and he would never get to know its price.
            IF current_setting('transaction_isolation') <> 'read committed' THEN
                RAISE EXCEPTION 'the first price of a plan in a transaction with an older snapshot'
                    USING ERRCODE = 'UB012',
                        DETAIL = 'Tenants that joined the plan since would not get it.',
                        HINT = 'Enter the plan''s first price under READ COMMITTED.';
            END IF;
            PERFORM pg_advisory_xact_lock(hashtextextended('billing.list_cards', p_card));
        ELSE
            PERFORM FROM public.tenants WHERE id = p_card FOR SHARE;
        END IF;
    END IF;
    PERFORM pg_advisory_xact_lock(
        hashtextextended(concat_ws(' ', 'billing.resolve_prices', p_card, p_channel, p_resource_type), 0)
    );
END;
$$;

COMMENT ON FUNCTION billing.lock_card IS
'Waits for whoever is changing the prices of p_channel and p_resource_type on p_card (as pricing_rates.card), and holds them
against others until the end of the transaction; for the first price of a card also those who may use it, so that they get to
know it: a minute at most. Readers of prices never wait. Raises UB012 for a plan''s first price outside READ COMMITTED.';
