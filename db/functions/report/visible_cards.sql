-- report: the rate cards of the tenants that the current role may see.
CREATE OR REPLACE FUNCTION billing.visible_cards()
RETURNS SETOF bigint
LANGUAGE sql
STABLE
PARALLEL SAFE
BEGIN ATOMIC
    SELECT 0
    UNION ALL
    SELECT v.tenant_id FROM billing.visible_tenants() AS v (tenant_id)
    UNION ALL
    -- All plans that a tenant was ever on: what was charged by them is still to be explained.
    SELECT -t.plan_id
    FROM billing.tenant_terms AS t
    WHERE t.tenant_id = ANY (ARRAY(SELECT v.tenant_id FROM billing.visible_tenants() AS v (tenant_id)));
END;

COMMENT ON FUNCTION billing.visible_cards IS
'The default card, and those of visible_tenants() and of every plan they were on, as pricing_rates.card has them.';
