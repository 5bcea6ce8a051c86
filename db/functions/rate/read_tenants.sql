-- rate: what billing needs of tenants, for those who may see them.
CREATE OR REPLACE FUNCTION billing.read_tenants(p_tenant_id bigint DEFAULT NULL, p_with_name boolean DEFAULT true)
RETURNS TABLE (
    tenant_id bigint,
    name text,
    plan_id bigint,
    timezone text,
    currency text,
    billing_cycle_day integer,
    credit_balance numeric
)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
-- The table is the application's, and readers of billing have no right to it.
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_role name := COALESCE(NULLIF(current_setting('role'), 'none')::name, session_user);
    v_ids bigint[];
BEGIN
    IF v_role = 'billing_tenant' THEN
        -- As in visible_tenant_ids, which goes by current_user: the owner, here.
        IF current_setting('billing.tenant_id', true) ~ '^[0-9]{1,18}$' THEN
            v_ids := ARRAY[current_setting('billing.tenant_id', true)::bigint];
        END IF;
    ELSE
        v_ids := ARRAY(SELECT m.tenant_id FROM billing.tenant_members AS m WHERE m.member = v_role);
    END IF;
    IF p_tenant_id = ANY (v_ids) THEN
        v_ids := ARRAY[p_tenant_id];
    ELSIF billing.sees_every_tenant(v_role) THEN
        v_ids := CASE WHEN p_tenant_id IS NULL THEN ARRAY(SELECT t.id FROM public.tenants AS t) ELSE ARRAY[p_tenant_id] END;
    ELSIF p_tenant_id IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT
        t.id,
        -- An application's own table may have no such column.
        COALESCE(j.tenant ->> 'company_name', j.tenant ->> 'name'),
        t.plan_id::bigint, COALESCE(t.timezone::text, 'UTC'), COALESCE(t.currency::text, 'USD'),
        COALESCE(t.billing_cycle_day::integer, 1), COALESCE(t.credit_balance::numeric, 0)
    FROM public.tenants AS t
    CROSS JOIN LATERAL (SELECT CASE WHEN p_with_name THEN to_jsonb(t) END) AS j (tenant)
    WHERE t.id = ANY (v_ids);
END;
$$;

COMMENT ON FUNCTION billing.read_tenants IS
'What billing needs of p_tenant_id, or of every tenant (NULL), of those that the asking role may see: its own by
tenant_members or billing.tenant_id, all for those who see every tenant. Zone UTC, currency USD and cycle day 1 where they
are open; name is company_name or name, NULL where the table has neither or p_with_name is false.';
