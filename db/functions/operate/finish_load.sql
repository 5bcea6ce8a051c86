-- operate: attaches a month that was loaded.
CREATE OR REPLACE FUNCTION billing.finish_load(p_month date)
RETURNS boolean
LANGUAGE plpgsql
SET jit = off
AS $$
DECLARE
    v_month date := billing.month_of(p_month);
    v_table text;
    v_is_partial boolean;
BEGIN
    -- Whoever loads it at the same time waits here, and finds it attached.
    SELECT d.table_name INTO v_table FROM billing.detached_months AS d WHERE d.month = v_month FOR UPDATE;
    SELECT bool_or(l.is_partial) INTO v_is_partial FROM billing.month_loads AS l WHERE l.month = v_month;
    IF v_is_partial IS NULL THEN
        RETURN false;
    END IF;
    DELETE FROM billing.month_loads AS l WHERE l.month = v_month;
    PERFORM billing.index_month_table(v_table);
    PERFORM billing.sum_month(v_table);
    PERFORM billing.attach_patiently(v_month);
    RETURN v_is_partial;
END;
$$;

COMMENT ON FUNCTION billing.finish_load IS
'Makes the indexes of the month that load_rows has filled, adds up its daily sums and attaches it, all at once; true when
some of its rows were left for the sweep. Its unique key finds what would be charged twice. Again: nothing.';
