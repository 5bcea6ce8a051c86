-- rate: what billing needs of tenants, for those who may see them.
CREATE OR REPLACE FUNCTION billing.read_tenants(p_tenant_id bigint DEFAULT NULL)
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
    v_role name := billing.acting_role();
    v_is_all boolean := billing.sees_every_tenant(v_role);
    v_ids bigint[];
BEGIN
    IF NOT v_is_all THEN
        v_ids := ARRAY(
            SELECT m.tenant_id FROM billing.tenant_members AS m WHERE m.member = v_role
            UNION ALL
            SELECT s.value::bigint
            FROM current_setting('billing.tenant_id', true) AS s (value)
            WHERE CASE WHEN v_role = 'billing_tenant' THEN s.value ~ '^[0-9]{1,18}$' ELSE false END
        );
    END IF;
    IF p_tenant_id IS NOT NULL THEN
        v_ids := CASE WHEN v_is_all OR p_tenant_id = ANY (v_ids) THEN ARRAY[p_tenant_id] ELSE '{}' END;
    ELSIF v_is_all THEN
        v_ids := ARRAY(SELECT t.id FROM public.tenants AS t);
    END IF;
    RETURN QUERY
    SELECT
        t.id,
        -- An application's own table may have no such column.
        COALESCE(j.tenant ->> 'company_name', j.tenant ->> 'name'),
        t.plan_id::bigint, COALESCE(t.timezone::text, 'UTC'), COALESCE(t.currency::text, 'USD'),
        COALESCE(t.billing_cycle_day::integer, 1), COALESCE(t.credit_balance::numeric, 0)
    FROM public.tenants AS t
    CROSS JOIN LATERAL to_jsonb(t) AS j (tenant)
    WHERE t.id = ANY (v_ids);
END;
$$;

COMMENT ON FUNCTION billing.read_tenants IS
'What billing needs of p_tenant_id, or of every tenant (NULL), of those that the asking role may see: its own by
tenant_members or billing.tenant_id, all for those who see every tenant. Zone UTC, currency USD and cycle day 1 where they
are open; name is company_name or name, NULL where the table has neither.';
