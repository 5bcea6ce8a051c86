-- invoice: one at a time for a tenant.
CREATE OR REPLACE FUNCTION billing.lock_invoicing(p_tenant_ids bigint[])
RETURNS void
LANGUAGE sql
-- Any login may hold an advisory lock.
SET lock_timeout = '60s'
AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('billing.generate_invoice', t.tenant_id))
    FROM (
        SELECT DISTINCT x.tenant_id
        FROM unnest(p_tenant_ids) AS x (tenant_id)
        ORDER BY x.tenant_id
    ) AS t;
$$;

COMMENT ON FUNCTION billing.lock_invoicing IS
'Waits, a minute at most, until nobody else draws up, issues or changes invoices of these tenants, and keeps others out until the end of the
transaction. In order of id, so that two of them do not wait for each other. Who records usage never meets it.';
