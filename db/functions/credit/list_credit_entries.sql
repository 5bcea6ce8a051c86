-- credit: a tenant's statement.
CREATE OR REPLACE FUNCTION billing.list_credit_entries(p_tenant_id bigint, p_limit integer DEFAULT 100)
RETURNS TABLE (
    id bigint,
    created_at timestamptz,
    kind text,
    reference text,
    amount numeric,
    balance numeric,
    remaining numeric,
    priority integer,
    expires_at timestamptz
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        e.id, e.created_at, e.kind, e.reference, e.amount, sum(e.amount) OVER (ORDER BY e.id), l.remaining,
        CASE WHEN e.amount > 0 THEN e.priority END, e.expires_at
    FROM billing.credit_entries AS e
    LEFT JOIN billing.list_credit_lots(p_tenant_id) AS l ON l.entry_id = e.id
    WHERE e.tenant_id = p_tenant_id
    ORDER BY e.id DESC
    LIMIT p_limit;
$$;

COMMENT ON FUNCTION billing.list_credit_entries IS
'The latest p_limit entries of p_tenant_id, latest first: amount, the sum of entries after it (balance), and what is left of it
(remaining; NULL: it took), in major units of the tenant''s currency.';
