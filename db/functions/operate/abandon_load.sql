-- operate: takes the loading of a month back.
CREATE OR REPLACE FUNCTION billing.abandon_load(p_month date)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_month date := billing.month_of(p_month);
    v_table text;
BEGIN
    SELECT d.table_name INTO v_table FROM billing.detached_months AS d WHERE d.month = v_month FOR UPDATE;
    IF NOT EXISTS (SELECT FROM billing.month_loads AS l WHERE l.month = v_month) THEN
        RAISE EXCEPTION 'month is not being loaded'
            USING ERRCODE = 'UB012',
                DETAIL = format('billing.month_loads has nothing of %s.', to_char(v_month, 'YYYY-MM')),
                HINT = 'billing.attach_month is for a month that is only detached.';
    END IF;
    EXECUTE format('DROP TABLE billing.%I', v_table);
    DELETE FROM billing.detached_months AS d WHERE d.month = v_month;
END;
$$;

COMMENT ON FUNCTION billing.abandon_load IS
'Drops what load_rows has filled of p_month, as if begin_load had never been called: nobody has seen any of it. Raises UB012.';
