-- rate: trigger on calendar_holidays; refuses holidays that would change what was charged.
CREATE OR REPLACE FUNCTION billing.check_calendar_holiday()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_day record;
BEGIN
    PERFORM billing.require_own_table(TG_RELID, 'billing.calendar_holidays');
    IF TG_OP = 'UPDATE' AND (OLD.calendar_id, OLD.holiday) IS NOT DISTINCT FROM (NEW.calendar_id, NEW.holiday) THEN
        RETURN NULL;
    END IF;
    SELECT d.calendar_id, d.holiday
    INTO v_day
    FROM (
        SELECT (OLD).calendar_id, (OLD).holiday
        UNION ALL
        SELECT (NEW).calendar_id, (NEW).holiday
    ) AS d
    INNER JOIN billing.calendars AS c ON c.id = d.calendar_id
    -- Calls of the calendar's today may have been charged.
    WHERE d.holiday <= (now() AT TIME ZONE c.timezone)::date
        AND billing.is_priced_calendar(c.id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the calendar of a price that has begun is history'
            USING ERRCODE = 'UB013',
                DETAIL = format('Calendar %s, holiday %s.', v_day.calendar_id, v_day.holiday),
                HINT = 'Holidays can change from tomorrow on; for other days make a new calendar and enter new rates for it.';
    END IF;
    RETURN NULL;
END;
$$;

COMMENT ON FUNCTION billing.check_calendar_holiday IS
'Refuses to add, move or take away a holiday before the calendar''s own tomorrow once a price that has begun refers to
the calendar (UB013).';
