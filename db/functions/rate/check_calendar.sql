-- rate: trigger on calendars; refuses a zone that is none, and changes under a price that has begun.
CREATE OR REPLACE FUNCTION billing.check_calendar()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
BEGIN
    PERFORM billing.require_own_table(TG_RELID, 'billing.calendars');
    IF TG_OP <> 'INSERT'
        AND (TG_OP = 'DELETE' OR (OLD.id, OLD.timezone) IS DISTINCT FROM (NEW.id, NEW.timezone))
        AND billing.is_priced_calendar(OLD.id)
    THEN
        RAISE EXCEPTION 'the calendar of a price that has begun is history'
            USING ERRCODE = 'UB013',
                DETAIL = format('Calendar %s has the zone %s.', OLD.id, OLD.timezone),
                HINT = 'Make a new calendar and enter new rates for it.';
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM billing.pricing_rates WHERE calendar_id = OLD.id) THEN
            RAISE EXCEPTION 'a rate names this calendar'
                USING ERRCODE = 'UB005',
                    DETAIL = format('Calendar %s, %s.', OLD.id, OLD.name),
                    HINT = 'Delete the rates with this calendar first; none has begun yet.';
        END IF;
        RETURN OLD;
    END IF;

    -- An abbreviation would be read as one where it is also the name of a zone: CET without its summer time.
    IF (TG_OP = 'INSERT' OR OLD.timezone IS DISTINCT FROM NEW.timezone)
        AND (
            NOT EXISTS (SELECT FROM pg_timezone_names WHERE name = NEW.timezone)
            OR EXISTS (SELECT FROM pg_timezone_abbrevs WHERE abbrev = NEW.timezone AND abbrev NOT IN ('UTC', 'GMT'))
        )
    THEN
        RAISE EXCEPTION 'no such time zone'
            USING ERRCODE = 'UB005',
                DETAIL = format('The calendar''s timezone is %L.', NEW.timezone),
                HINT = 'Name a place, such as Europe/Berlin, or UTC; pg_timezone_names lists the names.';
    END IF;
    RETURN NEW;
END;
$$;

COMMENT ON FUNCTION billing.check_calendar IS
'Refuses a time zone that pg_timezone_names does not have or that is an abbreviation, and to delete a calendar that a price
names (UB005); another zone, or the end, of a calendar that a price which has begun refers to (UB013).';
