-- credit: the lots of a tenant's credit, in the order in which they are consumed.
CREATE OR REPLACE FUNCTION billing.list_credit_lots(p_tenant_id bigint, p_as_of timestamptz DEFAULT now())
RETURNS TABLE (
    entry_id bigint,
    kind text,
    priority integer,
    expires_at timestamptz,
    amount numeric,
    remaining numeric,
    valid_from timestamptz
)
LANGUAGE sql
STABLE
AS $$
    SELECT e.id, e.kind, e.priority, e.expires_at, e.amount, e.amount - COALESCE(u.amount, 0), e.valid_from
    FROM billing.credit_entries AS e
    LEFT JOIN LATERAL (
        SELECT sum(x.amount) AS amount
        FROM billing.credit_uses AS x
        WHERE x.tenant_id = e.tenant_id
            AND x.lot_id = e.id
            AND x.created_at <= p_as_of
    ) AS u ON true
    WHERE e.tenant_id = p_tenant_id
        AND e.amount > 0
        AND e.created_at <= p_as_of
    ORDER BY
        e.priority, e.expires_at, e.kind IN ('opening', 'purchase', 'payment', 'refund'), e.created_at, e.id;
$$;

COMMENT ON FUNCTION billing.list_credit_lots IS
'The entries that added to the credit of p_tenant_id by p_as_of, in consumption order: priority, earliest expiry (never
comes last), granted before paid (opening, purchase, payment, refund), oldest first. remaining: what the entries that took
by then have left of it, in major units of the tenant''s currency; also of a lot that has expired and whose expiry is not
entered yet (list_lapsed_credit), and 0 of what is used up.';
