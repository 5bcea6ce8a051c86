-- operate: takes a month of records out of usage_records, in constant time.
CREATE OR REPLACE FUNCTION billing.detach_month(p_month date)
RETURNS text
LANGUAGE plpgsql
-- Writers of all months queue behind the lock that this waits for.
SET lock_timeout = '2s'
AS $$
DECLARE
    v_month date := billing.month_of(p_month);
    v_name text := format('usage_records_%s', to_char(v_month, 'YYYY_MM'));
    v_table record;
    v_tables jsonb := '{}'::jsonb;
    v_ids jsonb;
    v_source_ids jsonb := '{}'::jsonb;
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM pg_inherits
        WHERE inhparent = 'billing.usage_records'::regclass
            AND inhrelid = to_regclass('billing.' || v_name)
    ) THEN
        RAISE EXCEPTION 'no such month'
            USING ERRCODE = 'UB012',
                DETAIL = format('billing.usage_records has no partition %s.', v_name),
                HINT = 'A month that is detached already stands in billing.detached_months.';
    END IF;
    -- The application's tables are asked before anybody has to wait.
    FOR v_table IN SELECT m.source_table FROM billing.metered_tables AS m WHERE billing.is_readable(m.source_table) LOOP
        EXECUTE format('SELECT jsonb_build_array(min(s.id), max(s.id)) FROM %s AS s', billing.qualify_source(v_table.source_table))
        INTO v_ids;
        v_tables := v_tables || jsonb_build_object(v_table.source_table, v_ids);
    END LOOP;
    EXECUTE format('ALTER TABLE billing.usage_records DETACH PARTITION billing.%I', v_name);
    -- A few probes of the key each, for ids are near each other that were given in one month.
    FOR v_table IN SELECT t.key AS source_table, t.value AS ids FROM jsonb_each(v_tables) AS t LOOP
        EXECUTE format(
            'SELECT jsonb_build_array(min(r.source_id), max(r.source_id))
            FROM billing.%I AS r
            WHERE r.source_table = $1
                AND r.source_id BETWEEN $2 AND $3',
            v_name
        ) INTO v_ids USING v_table.source_table, (v_table.ids ->> 0)::bigint, (v_table.ids ->> 1)::bigint;
        IF v_ids ->> 0 IS NOT NULL THEN
            v_source_ids := v_source_ids || jsonb_build_object(v_table.source_table, v_ids);
        END IF;
    END LOOP;
    INSERT INTO billing.detached_months (month, table_name, source_ids) VALUES (v_month, v_name, v_source_ids);
    RETURN 'billing.' || v_name;
END;
$$;

COMMENT ON FUNCTION billing.detach_month IS
'Detaches the partition of p_month, which becomes a table of its own; its name. Daily sums stay. Usage of that month
that still comes in is set aside (UB006) until the month is attached again. Raises UB012.';
