-- credit: what reservations hold of a tenant's credit.
CREATE OR REPLACE FUNCTION billing.get_reserved(p_tenant_id bigint, p_as_of timestamptz DEFAULT now())
RETURNS numeric
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    -- A variable: a function that is volatile bounds no index.
    v_ended_by timestamptz := GREATEST(p_as_of, clock_timestamp());
BEGIN
    -- Now, and after: what the account counts, less what has ended and is not taken off yet.
    IF p_as_of >= now() THEN
        RETURN COALESCE((
            SELECT a.reserved - COALESCE((
                SELECT sum(r.amount)
                FROM billing.reservations AS r
                WHERE r.tenant_id = p_tenant_id
                    AND r.is_counted
                    AND r.expires_at <= v_ended_by
            ), 0)
            FROM billing.credit_accounts AS a
            WHERE a.tenant_id = p_tenant_id
        ), 0);
    END IF;
    RETURN COALESCE((
        SELECT sum(r.amount)
        FROM billing.reservations AS r
        WHERE r.tenant_id = p_tenant_id
            AND r.outcome IS DISTINCT FROM 'settled'
            AND r.expires_at > p_as_of
            AND r.created_at <= p_as_of
    ), 0);
END;
$$;

COMMENT ON FUNCTION billing.get_reserved IS
'What reservations of p_tenant_id hold at p_as_of, in major units of its currency. What was settled since counts as usage, from
when that occurred, and no longer as reserved.';
