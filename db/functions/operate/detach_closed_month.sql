-- operate: detaches a month to archive it, unless it is detached.
CREATE OR REPLACE FUNCTION billing.detach_closed_month(p_month date)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_month date := billing.month_of(p_month);
BEGIN
    IF EXISTS (SELECT FROM billing.detached_months WHERE month = v_month) THEN
        RETURN;
    END IF;
    -- Somewhere the first day of the next month has not begun before it has been so in UTC for twelve hours.
    IF now() < (v_month + interval '1 month')::timestamp AT TIME ZONE 'UTC' + interval '12 hours' THEN
        RAISE EXCEPTION 'the month is not over'
            USING ERRCODE = 'UB006',
                DETAIL = format('Usage of %s is still being recorded.', to_char(v_month, 'YYYY-MM')),
                HINT = 'Archive months that are over and invoiced.';
    END IF;
    PERFORM billing.detach_month(v_month);
END;
$$;

COMMENT ON FUNCTION billing.detach_closed_month IS
'detach_month for a month that is over in every zone; one that is detached already is left so. Raises UB006, UB012.';
