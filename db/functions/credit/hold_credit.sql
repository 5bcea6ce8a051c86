-- credit: writes a reservation, and the account it is held on.
CREATE OR REPLACE FUNCTION billing.hold_credit(
    p_account billing.credit_accounts,
    p_key text,
    p_channel text,
    p_resource_type text,
    p_destination text,
    p_requested numeric,
    p_granted numeric,
    p_priced billing.priced_usage,
    p_lasts interval
)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_granted > 0 THEN
        INSERT INTO billing.reservations (
            tenant_id, key, channel, resource_type, destination, requested, granted, amount, rate_id, expires_at
        )
        VALUES (
            p_account.tenant_id, p_key, p_channel, p_resource_type, p_destination, p_requested, p_granted,
            p_priced.total_cost, p_priced.rate_id, clock_timestamp() + p_lasts
        );
        p_account.reserved := p_account.reserved + p_priced.total_cost;
        p_account.calls := p_account.calls + CASE WHEN p_resource_type = 'minute' THEN 1 ELSE 0 END;
    END IF;
    UPDATE billing.credit_accounts AS a
    SET reserved = p_account.reserved, calls = p_account.calls
    WHERE a.tenant_id = p_account.tenant_id;
END;
$$;

COMMENT ON FUNCTION billing.hold_credit IS
'Holds the price of p_granted (seconds for minutes, else units; 0: nothing) under p_key for p_lasts, and writes p_account, which
the caller has locked.';
