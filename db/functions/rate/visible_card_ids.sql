-- rate: the rate cards of the tenants that the current role may see.
CREATE OR REPLACE FUNCTION billing.visible_card_ids()
RETURNS bigint[]
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
-- As in visible_tenant_ids, every name has its schema.
AS $$
DECLARE
    v_tenants bigint[] := billing.visible_tenant_ids();
BEGIN
    RETURN pg_catalog.array_cat(pg_catalog.array_append(v_tenants, 0::bigint), ARRAY(
        -- All plans that a tenant was ever on: what was charged by them is still to be explained.
        SELECT OPERATOR(pg_catalog.-) t.plan_id
        FROM billing.tenant_terms AS t
        WHERE t.tenant_id OPERATOR(pg_catalog.=) ANY (v_tenants)
    ));
END;
$$;

COMMENT ON FUNCTION billing.visible_card_ids IS
'The default card, and those of visible_tenant_ids() and of every plan they were on, as pricing_rates.card has them.';
