-- record: ends reservations, unless somebody is just ending them.
CREATE OR REPLACE FUNCTION billing.end_reservations(p_tenant_id bigint, p_keys text[], p_outcome text)
RETURNS bigint
-- Not sql, of which PostgreSQL before 18 plans each call anew.
LANGUAGE plpgsql
AS $$
DECLARE
    v_ended bigint;
BEGIN
    UPDATE billing.reservations
    SET outcome = p_outcome, expires_at = LEAST(expires_at, clock_timestamp())
    WHERE ctid = ANY (ARRAY(
        SELECT r.ctid
        FROM billing.reservations AS r
        WHERE r.tenant_id = p_tenant_id
            AND r.key = ANY (p_keys)
            AND r.outcome IS NULL
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_ended = ROW_COUNT;
    RETURN v_ended;
END;
$$;

COMMENT ON FUNCTION billing.end_reservations IS
'Ends the reservations of p_tenant_id under p_keys with p_outcome (settled, released); how many. Never waits: who holds one is
ending it, or taking an expired one off the account. credit_accounts follows with the next reservation.';
