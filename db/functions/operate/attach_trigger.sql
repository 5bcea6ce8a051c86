-- operate: makes a trigger, unless it stands there already just so.
CREATE OR REPLACE FUNCTION billing.attach_trigger(p_table regclass, p_name text, p_definition text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_old text := (
        SELECT obj_description(t.oid, 'pg_trigger')
        FROM pg_trigger AS t
        WHERE t.tgrelid = p_table
            AND t.tgname = p_name
    );
BEGIN
    -- Leaving a trigger alone takes no lock on a table that is in use.
    IF v_old = p_definition THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER %I %s', p_name, p_definition);
    EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L', p_name, p_table, p_definition);
END;
$$;

COMMENT ON FUNCTION billing.attach_trigger IS
'CREATE OR REPLACE TRIGGER p_name p_definition, skipped when the trigger''s comment says it is that already.';
