-- operate: makes a policy, unless it stands there already just so.
CREATE OR REPLACE FUNCTION billing.attach_policy(
    p_table regclass,
    p_name text,
    p_command text,
    p_roles text[],
    p_using text
)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_roles text := (
        SELECT string_agg(quote_ident(r.rolname), ', ' ORDER BY r.rolname) FROM pg_roles AS r WHERE r.rolname = ANY (p_roles)
    );
    v_definition text := format('FOR %s TO %s USING (%s)', p_command, v_roles, p_using);
    v_old text;
BEGIN
    -- What the catalog holds is written otherwise than what was said, so the policy's comment keeps both.
    SELECT obj_description(p.oid, 'pg_policy')
    INTO v_old
    FROM pg_policy AS p
    WHERE p.polrelid = p_table
        AND p.polname = p_name
        AND obj_description(p.oid, 'pg_policy') = v_definition || E'\n' || billing.policy_digest(p.oid);
    IF v_old IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('DROP POLICY IF EXISTS %I ON %s', p_name, p_table);
    IF v_roles IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE POLICY %I ON %s %s', p_name, p_table, v_definition);
    EXECUTE format('COMMENT ON POLICY %I ON %s IS %L', p_name, p_table, (
        SELECT v_definition || E'\n' || billing.policy_digest(p.oid)
        FROM pg_policy AS p
        WHERE p.polrelid = p_table
            AND p.polname = p_name
    ));
END;
$$;

COMMENT ON FUNCTION billing.attach_policy IS
'Lets those of p_roles that exist do p_command (SELECT, or ALL) with the rows of p_table for which p_using holds, as far as their
rights go. Takes no lock where the policy is just that
already, as its comment and the catalog say.';
