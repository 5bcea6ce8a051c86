-- record: from now on the recorder looks whether usage of a tenant's rows was reserved.
CREATE OR REPLACE FUNCTION billing.look_closer(p_tenant_id bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM billing.tenant_terms WHERE tenant_id = p_tenant_id AND NOT looks_closer) THEN
        -- Whoever is just adding terms for the tenant (tenant_changed) is waited for, and seen by the next statement.
        PERFORM FROM billing.tenant_terms WHERE tenant_id = p_tenant_id FOR UPDATE;
        UPDATE billing.tenant_terms
        SET looks_closer = true
        WHERE tenant_id = p_tenant_id
            AND NOT looks_closer;
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.look_closer IS
'Sets tenant_terms.looks_closer for all terms of p_tenant_id, before the tenant''s first reservation; writes nothing after
that.';
