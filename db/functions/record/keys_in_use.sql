-- record: which resources rows of the application still name.
CREATE OR REPLACE FUNCTION billing.keys_in_use(p_keys text[])
RETURNS text[]
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_metered billing.metered_tables;
    v_found text[];
    v_keys text[] := '{}';
BEGIN
    FOR v_metered IN
        SELECT *
        FROM billing.metered_tables
        WHERE resource_column IS NOT NULL
            AND to_regclass(billing.qualify_source(source_table)) IS NOT NULL
    LOOP
        EXECUTE format(
            'SELECT array_agg(s.%2$I::text) FROM %1$s AS s WHERE s.%2$I = ANY ($1)',
            billing.qualify_source(v_metered.source_table), v_metered.resource_column
        ) INTO v_found USING p_keys;
        v_keys := v_keys || v_found;
    END LOOP;
    RETURN v_keys;
END;
$$;

COMMENT ON FUNCTION billing.keys_in_use IS
'Those of p_keys that are the call_sid, message_sid or like of a row in a metered table: under another key its usage would not be
known as billed.';
