-- operate: gives a month's table the indexes of usage_records.
CREATE OR REPLACE FUNCTION billing.index_month_table(p_name text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_index record;
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indrelid = format('billing.%I', p_name)::regclass) THEN
        RETURN;
    END IF;
    FOR v_index IN
        SELECT
            c.conname, pg_get_constraintdef(c.oid) AS definition,
            -- CREATE INDEX name ON ONLY table USING ...
            regexp_replace(pg_get_indexdef(i.indexrelid), '^.*? USING ', '') AS method, r.relname
        FROM pg_index AS i
        INNER JOIN pg_class AS r ON r.oid = i.indexrelid
        LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid AND c.conrelid = i.indrelid
        WHERE i.indrelid = 'billing.usage_records'::regclass
        ORDER BY i.indexrelid
    LOOP
        IF v_index.conname IS NOT NULL THEN
            EXECUTE format('ALTER TABLE billing.%I ADD %s', p_name, v_index.definition);
        ELSE
            EXECUTE format('CREATE INDEX ON billing.%I USING %s', p_name, v_index.method);
        END IF;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.index_month_table IS
'Makes on the table billing.p_name, unless it has some, the keys and indexes of usage_records, as attaching it asks for.';
