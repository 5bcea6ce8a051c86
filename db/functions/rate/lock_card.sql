-- rate: one writer at a time for a card's prices of a resource.
CREATE OR REPLACE FUNCTION billing.lock_card(p_card bigint, p_channel text, p_resource_type text)
RETURNS void
LANGUAGE sql
AS $$
    SELECT pg_advisory_xact_lock(
        hashtextextended(concat_ws(' ', 'billing.resolve_prices', p_card, p_channel, p_resource_type), 0)
    );
$$;

COMMENT ON FUNCTION billing.lock_card IS
'Waits for whoever is changing the prices of p_channel and p_resource_type on p_card (as pricing_rates.card), and holds them
against others until the end of the transaction. Readers of prices never wait.';
