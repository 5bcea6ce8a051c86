-- operate: attaches a table, so that whatever the application does to its rows is billed.
CREATE OR REPLACE FUNCTION billing.meter_table(
    p_table regclass,
    p_measure regproc,
    p_resource_column text DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, billing, pg_temp
-- All writers of the table queue behind the lock that this waits for.
SET lock_timeout = '2s'
AS $$
DECLARE
    v_source_table text := billing.source_table_name(p_table);
    v_call text := billing.compose_measure_call(p_table, p_measure);
    v_function text := billing.name_trigger_function(v_source_table);
    v_partitioned boolean := (SELECT relkind = 'p' FROM pg_class WHERE oid = p_table);
    v_body text;
    v_history_id bigint;
BEGIN
    -- The rows of a part are the whole's, too: the sweep would find them in both, and bill them twice.
    IF EXISTS (
        SELECT
        FROM pg_inherits AS i
        INNER JOIN billing.metered_tables AS m
            ON to_regclass(billing.qualify_source(m.source_table)) IN (i.inhparent, i.inhrelid)
        WHERE p_table IN (i.inhparent, i.inhrelid)
            AND m.source_table <> v_source_table
    ) THEN
        RAISE EXCEPTION 'table is metered with another, of which it is a part or which is a part of it'
            USING ERRCODE = 'UB012',
                DETAIL = format('Table %s.', p_table),
                HINT = 'Meter the whole; its partitions come with it.';
    END IF;

    -- A table that is metered already stays so: list_trigger_gaps names it.
    IF billing.find_metering_problem(p_table, v_call) IS NOT NULL
        AND NOT EXISTS (SELECT FROM billing.metered_tables AS t WHERE t.source_table = v_source_table)
    THEN
        RAISE EXCEPTION 'rows of the table would not all be billed'
            USING ERRCODE = 'UB012',
                DETAIL = format('Table %s: %s.', p_table, billing.find_metering_problem(p_table, v_call)),
                HINT = 'Mend that, then meter it again.';
    END IF;

    -- What the function does not make its resource, record_usage would look for in vain and bill again.
    IF p_resource_column IS NOT NULL AND strpos(v_call, format('r.%I::', p_resource_column)) = 0 THEN
        RAISE EXCEPTION 'resource column is not one that the measure function reads'
            USING ERRCODE = 'UB012',
                DETAIL = format('Table %s, column %s, measure function %s.', p_table, p_resource_column, p_measure),
                HINT = 'Name the column that the function returns as resource_id, or none.';
    END IF;

    IF v_partitioned THEN
        -- Statement triggers do not see what is written to a partition by name, so each row calls for itself.
        v_body := billing.compose_row_trigger(v_source_table, v_call);
    ELSE
        v_body := billing.compose_statement_trigger(v_source_table, v_call);
    END IF;
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER '
        -- Every plan of ours is a few index probes, whatever the values: planning it anew would cost more than it.
        'SET search_path = pg_catalog, billing, pg_temp SET plan_cache_mode = force_generic_plan '
        -- No lock that somebody holds on our tables keeps the application waiting longer; it is set aside then.
        'SET lock_timeout = ''2s'' AS %L',
        v_function, v_body
    );
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s() FROM PUBLIC', v_function);
    EXECUTE format('COMMENT ON FUNCTION %s() IS %L', v_function,
        format('Trigger on %s, made by meter_table: records what its rows come to be worth.', v_source_table));

    PERFORM billing.attach_trigger(p_table, 'billing_meter_insert', CASE
        WHEN v_partitioned THEN format('AFTER INSERT ON %s FOR EACH ROW EXECUTE FUNCTION %s()', p_table, v_function)
        ELSE format('AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION %s()',
            p_table, v_function)
    END);
    PERFORM billing.attach_trigger(p_table, 'billing_meter_update', CASE
        -- As images: there are types that know no equality, and the application's UPDATE would fail.
        WHEN v_partitioned THEN format(
            'AFTER UPDATE ON %s FOR EACH ROW WHEN (OLD.* OPERATOR(pg_catalog.*<>) NEW.*) EXECUTE FUNCTION %s()', p_table, v_function)
        ELSE format('AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
            'FOR EACH STATEMENT EXECUTE FUNCTION %s()', p_table, v_function)
    END);
    IF v_partitioned THEN
        -- A row that moves to another partition is deleted there; one that is only deleted stays billed.
        PERFORM billing.attach_trigger(p_table, 'billing_meter_move',
            format('AFTER DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %s()', p_table, v_function));
    END IF;

    EXECUTE format('SELECT COALESCE(max(id), 0) FROM %s', p_table) INTO v_history_id;
    INSERT INTO billing.metered_tables (source_table, measure, measure_call, resource_column, history_id)
    VALUES (v_source_table, p_measure::text, v_call, p_resource_column, v_history_id)
    ON CONFLICT (source_table) DO UPDATE
    SET measure = EXCLUDED.measure, measure_call = EXCLUDED.measure_call, resource_column = EXCLUDED.resource_column;
END;
$$;

COMMENT ON FUNCTION billing.meter_table IS
'Bills the rows of p_table by p_measure, an SQL function whose parameters are named after the columns it reads (p_status
reads status) and that returns measurements. The table needs a column id of an integer type, NOT
NULL and unique. p_resource_column is the
column behind resource_id. Rows there already are not billed: that is backfill_usage. Twice is once. Raises UB012.';
