-- rate: whose usage and money the current role may see, of those it may not see all of.
CREATE OR REPLACE FUNCTION billing.visible_tenant_ids()
RETURNS bigint[]
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
-- Every name has its schema: no search_path of a caller's puts another operator in place of one of these, and none has to be
-- set, which would cost more than the rest.
AS $$
DECLARE
    v_setting text;
BEGIN
    -- What an API request says counts for the role that such a request becomes, and for no other.
    IF current_user OPERATOR(pg_catalog.=) 'billing_tenant'::pg_catalog.name THEN
        v_setting := pg_catalog.current_setting('billing.tenant_id', true);
        RETURN CASE WHEN v_setting OPERATOR(pg_catalog.~) '^[0-9]{1,18}$' THEN ARRAY[v_setting::bigint] END;
    END IF;
    RETURN ARRAY(SELECT m.tenant_id FROM billing.tenant_members AS m WHERE m.member OPERATOR(pg_catalog.=) current_user);
END;
$$;

COMMENT ON FUNCTION billing.visible_tenant_ids IS
'The tenants that tenant_members gives to the current role; for billing_tenant the one that the setting billing.tenant_id names:
empty, missing or malformed, it names none (NULL). Policies ask it once for each table of a statement: one value, for a set would
cost them twice as much.';
