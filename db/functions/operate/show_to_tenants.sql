-- operate: closes a table but to those who may see the tenants in it.
CREATE OR REPLACE FUNCTION billing.show_to_tenants(p_table regclass, p_using text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = p_table) THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
    END IF;
    PERFORM billing.attach_policy(p_table, 'own_tenants', 'SELECT', '{billing_reader}', COALESCE(p_using,
        'tenant_id = ANY ((SELECT billing.visible_tenant_ids())::bigint[])'));
    PERFORM billing.attach_policy(p_table, 'every_tenant', 'SELECT', '{billing_writer,billing_analyst}', 'true');
    PERFORM billing.attach_policy(p_table, 'administered', 'ALL', '{billing_admin}', 'true');
END;
$$;

COMMENT ON FUNCTION billing.show_to_tenants IS
'Puts p_table under row level security: billing_reader sees the rows for which p_using holds (NULL: those whose tenant_id is one of
visible_tenant_ids(), asked once a statement), billing_writer, billing_analyst and billing_admin every row, each as far as it has
a right to the table at all; its owner is not concerned.';
