-- record: ends reservations, unless somebody is just ending them.
CREATE OR REPLACE FUNCTION billing.end_reservations(p_tenant_id bigint, p_keys text[], p_outcome text)
RETURNS bigint
LANGUAGE sql
AS $$
    WITH ended AS (
        UPDATE billing.reservations
        SET outcome = p_outcome, expires_at = LEAST(expires_at, clock_timestamp())
        WHERE ctid = ANY (ARRAY(
            SELECT r.ctid
            FROM billing.reservations AS r
            WHERE r.tenant_id = p_tenant_id
                AND r.key = ANY (p_keys)
                AND r.outcome IS NULL
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING 1
    )
    SELECT count(*) FROM ended;
$$;

COMMENT ON FUNCTION billing.end_reservations IS
'Ends the reservations of p_tenant_id under p_keys with p_outcome (settled, released); how many. Never waits: who holds one is
ending it, or taking an expired one off the account. credit_accounts follows with the next reservation.';
