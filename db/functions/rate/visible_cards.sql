-- rate: the rate cards of the tenants that the current role may see.
CREATE OR REPLACE FUNCTION billing.visible_cards()
RETURNS SETOF bigint
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
ROWS 10
-- As in visible_tenants, every name has its schema.
AS $$
DECLARE
    v_tenants bigint[] := ARRAY(SELECT billing.visible_tenants());
BEGIN
    RETURN NEXT 0;
    RETURN QUERY SELECT pg_catalog.unnest(v_tenants);
    -- All plans that a tenant was ever on: what was charged by them is still to be explained.
    RETURN QUERY
    SELECT OPERATOR(pg_catalog.-) t.plan_id
    FROM billing.tenant_terms AS t
    WHERE t.tenant_id OPERATOR(pg_catalog.=) ANY (v_tenants);
END;
$$;

COMMENT ON FUNCTION billing.visible_cards IS
'The default card, and those of visible_tenants() and of every plan they were on, as pricing_rates.card has them.';
