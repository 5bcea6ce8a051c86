-- record: which resources rows of the application still name.
CREATE OR REPLACE FUNCTION billing.keys_in_use(p_keys text[])
RETURNS text[]
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_keyed record;
    v_found text[];
    v_keys text[] := '{}';
BEGIN
    FOR v_keyed IN SELECT * FROM billing.list_keyed_tables() LOOP
        EXECUTE format('SELECT array_agg(s.%2$s::text) FROM %1$s AS s WHERE s.%2$s::text = ANY ($1)', v_keyed.source, v_keyed.resource)
        INTO v_found USING p_keys;
        v_keys := v_keys || v_found;
    END LOOP;
    RETURN v_keys;
END;
$$;

COMMENT ON FUNCTION billing.keys_in_use IS
'Those of p_keys that are the call_sid, message_sid or like of a row in a metered table: under another key its usage would not be
known as billed.';
