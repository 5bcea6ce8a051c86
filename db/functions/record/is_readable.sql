-- record: whether the rows of a metered table can be read as they were when it was metered.
CREATE OR REPLACE FUNCTION billing.is_readable(p_source_table text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_call text := (SELECT t.measure_call FROM billing.metered_tables AS t WHERE t.source_table = p_source_table);
BEGIN
    EXECUTE format(
        'SELECT FROM %s AS r CROSS JOIN LATERAL %s AS m LIMIT 0', billing.qualify_source(p_source_table), v_call
    );
    RETURN EXISTS (
        SELECT
        FROM pg_attribute AS a
        INNER JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = to_regclass(billing.qualify_source(p_source_table))
            AND a.attname = 'id'
            AND NOT a.attisdropped
            AND COALESCE(NULLIF(t.typbasetype, 0), a.atttypid)
                IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype)
    );
EXCEPTION
    WHEN syntax_error_or_access_rule_violation OR null_value_not_allowed THEN
        RETURN false;
END;
$$;

COMMENT ON FUNCTION billing.is_readable IS
'false where p_source_table is gone, is not metered, or has no id or columns any more that its measure function can read: what
looks at all metered tables passes it over, and list_trigger_gaps names it.';
