-- operate: the audit log, read.
CREATE OR REPLACE FUNCTION billing.list_acts(
    p_since timestamptz DEFAULT NULL,
    p_tenant_id bigint DEFAULT NULL,
    p_action text DEFAULT NULL,
    p_limit integer DEFAULT 100
)
RETURNS SETOF billing.audit_log
LANGUAGE sql
STABLE
AS $$
    SELECT l.*
    FROM billing.audit_log AS l
    WHERE (p_since IS NULL OR l.at >= p_since)
        AND (p_tenant_id IS NULL OR l.tenant_id = p_tenant_id)
        AND (p_action IS NULL OR p_action IN (l.action, l.via, l.object))
    ORDER BY l.id DESC
    LIMIT p_limit;
$$;

COMMENT ON FUNCTION billing.list_acts IS
'Entries of audit_log, the latest first: since p_since, of p_tenant_id, of the action, function or table p_action; NULL: all.
p_limit NULL: without end.';
