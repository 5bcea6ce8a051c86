-- Nothing stays half closed: without its policies a table under row level security shows nothing to anybody but its owner.
DO $$
DECLARE
    v_statement text;
BEGIN
    FOR v_statement IN
        SELECT format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass)
        FROM pg_policy AS p
        INNER JOIN pg_class AS c ON c.oid = p.polrelid
        WHERE c.relnamespace = 'billing'::regnamespace
        UNION ALL
        SELECT format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', c.oid::regclass)
        FROM pg_class AS c
        WHERE c.relnamespace = 'billing'::regnamespace
            AND c.relrowsecurity
    LOOP
        EXECUTE v_statement;
    END LOOP;
END;
$$;
DROP FUNCTION IF EXISTS billing.visible_tenant_ids();
DROP TABLE billing.tenant_members;
