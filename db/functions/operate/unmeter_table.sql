-- operate: detaches a table; what was billed stays billed.
CREATE OR REPLACE FUNCTION billing.unmeter_table(p_table regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, billing, pg_temp
SET client_min_messages = warning
-- Readers, too, queue behind the lock that this waits for.
SET lock_timeout = '2s'
AS $$
DECLARE
    v_source_table text := billing.source_table_name(p_table);
    v_name text;
BEGIN
    IF p_table IS NULL THEN
        RAISE EXCEPTION 'no table'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_table is NULL.',
                HINT = 'Name a table of billing.metered_tables.';
    END IF;
    FOREACH v_name IN ARRAY ARRAY['billing_meter_insert', 'billing_meter_update', 'billing_meter_move'] LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', v_name, p_table);
    END LOOP;
    EXECUTE format('DROP FUNCTION IF EXISTS %s()', billing.name_trigger_function(v_source_table));
    DELETE FROM billing.metered_tables WHERE source_table = v_source_table;
END;
$$;

COMMENT ON FUNCTION billing.unmeter_table IS
'Removes the triggers of a metered table. Its records, sums and invoices stay. Twice is once. Raises UB012.';
