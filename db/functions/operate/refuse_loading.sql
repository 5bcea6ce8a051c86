-- operate: keeps a month that is being loaded from being taken for a whole one.
CREATE OR REPLACE FUNCTION billing.refuse_loading(p_month date)
RETURNS void
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    IF EXISTS (SELECT FROM billing.month_loads WHERE month = billing.month_of(p_month)) THEN
        RAISE EXCEPTION 'month is being loaded'
            USING ERRCODE = 'UB012',
                DETAIL = format('A backfill of %s is not done.', to_char(p_month, 'YYYY-MM')),
                HINT = 'Run irisx-usage backfill --by-month for it again, or take it back with billing.abandon_load.';
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.refuse_loading IS 'Raises UB012 while backfill loads p_month.';
