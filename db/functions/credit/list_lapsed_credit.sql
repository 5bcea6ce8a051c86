-- credit: what has lapsed of lots that expired, and is not entered as expiry yet.
CREATE OR REPLACE FUNCTION billing.list_lapsed_credit(p_tenant_id bigint, p_as_of timestamptz DEFAULT now())
RETURNS TABLE (entry_id bigint, amount numeric)
LANGUAGE plpgsql
STABLE
ROWS 1
AS $$
DECLARE
    v_last timestamptz;
BEGIN
    SELECT max(e.expires_at)
    INTO v_last
    FROM billing.credit_entries AS e
    WHERE e.tenant_id = p_tenant_id
        AND e.expires_at <= p_as_of
        AND e.created_at <= p_as_of
        AND e.amount > (
            SELECT COALESCE(sum(u.amount), 0)
            FROM billing.credit_uses AS u
            WHERE u.tenant_id = p_tenant_id
                AND u.lot_id = e.id
                AND u.created_at <= p_as_of
        );
    IF v_last IS NOT NULL THEN
        RETURN QUERY
        SELECT u.entry_id, u.amount
        FROM billing.list_unused_credit(p_tenant_id, p_as_of, v_last) AS u
        WHERE u.expires_at <= p_as_of;
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.list_lapsed_credit IS
'What lapsed of the lots of p_tenant_id that expired by p_as_of: what no entry took by then, and nothing that occurred or was
reserved before the expiry and is not yet invoiced needs. It is no longer on the balance; expire_credit enters it. Raises
UB002.';
