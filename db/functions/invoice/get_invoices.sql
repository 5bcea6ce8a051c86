-- invoice: a tenant's invoices, newest period first.
CREATE OR REPLACE FUNCTION billing.get_invoices(
    p_tenant_id bigint,
    p_status text DEFAULT NULL,
    p_limit integer DEFAULT 50
)
RETURNS SETOF billing.invoices
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    PERFORM billing.require_tenant(p_tenant_id);
    IF p_limit < 0 OR p_status NOT IN ('draft', 'pending', 'paid', 'overdue', 'void') THEN
        RAISE EXCEPTION 'bad status or limit'
            USING ERRCODE = 'UB012',
                DETAIL = format('Status %L, limit %s.', p_status, p_limit),
                HINT = 'A status is draft, pending, paid, overdue or void; a limit is not negative.';
    END IF;
    RETURN QUERY
    SELECT *
    FROM billing.invoices AS i
    WHERE i.tenant_id = p_tenant_id
        AND (p_status IS NULL OR i.status = p_status)
    ORDER BY i.period_start DESC, i.id DESC
    LIMIT p_limit;
END;
$$;

COMMENT ON FUNCTION billing.get_invoices IS
'At most p_limit invoices of p_tenant_id, newest period first; p_status NULL: whatever their status. Raises UB002, UB012.';
