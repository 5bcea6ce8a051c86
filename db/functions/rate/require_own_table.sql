-- rate: keeps a trigger function that runs as the owner from running on somebody else's table.
CREATE OR REPLACE FUNCTION billing.require_own_table(p_table oid, p_own text)
RETURNS void
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    -- NULL: it has another name by now, and goes on being billed under the old one.
    v_own regclass := to_regclass(p_own);
BEGIN
    IF v_own IS NOT NULL AND p_table <> v_own AND pg_partition_root(p_table) IS DISTINCT FROM v_own THEN
        RAISE EXCEPTION 'trigger function of another table'
            USING ERRCODE = 'UB020',
                DETAIL = format('It is the one of %s, and was called for %s.', p_own, p_table::regclass),
                HINT = 'Attach a table with billing.meter_table: it makes a trigger function for that table.';
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.require_own_table IS
'Raises UB020 where p_table is neither the table p_own nor a partition of it.';
