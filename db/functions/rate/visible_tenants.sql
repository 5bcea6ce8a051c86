-- rate: whose usage and money the current role may see, of those it may not see all of.
CREATE OR REPLACE FUNCTION billing.visible_tenants()
RETURNS SETOF bigint
LANGUAGE sql
STABLE
PARALLEL SAFE
-- Resolved when it is made: no search_path of a caller's puts another operator in place of these.
BEGIN ATOMIC
    SELECT m.tenant_id
    FROM billing.tenant_members AS m
    WHERE m.member = current_user
    UNION ALL
    -- What an API request says counts for the role that such a request becomes, and for no other.
    SELECT s.value::bigint
    FROM current_setting('billing.tenant_id', true) AS s (value)
    WHERE CASE WHEN current_user = 'billing_tenant' THEN s.value ~ '^[0-9]{1,18}$' ELSE false END;
END;

COMMENT ON FUNCTION billing.visible_tenants IS
'The tenants that tenant_members gives to the current role; for billing_tenant also the one that the setting
billing.tenant_id names: empty, missing or malformed, it names none. Policies ask it once a statement.';
