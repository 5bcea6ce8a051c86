-- rate: trigger on calendar_bands; refuses to change bands under a price, or to take away one that a price names.
CREATE OR REPLACE FUNCTION billing.check_calendar_band()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
BEGIN
    PERFORM billing.require_own_table(TG_RELID, 'billing.calendar_bands');
    IF TG_OP = 'UPDATE' AND OLD IS NOT DISTINCT FROM NEW THEN
        RETURN NULL;
    END IF;
    IF (TG_OP <> 'INSERT' AND billing.is_priced_calendar(OLD.calendar_id))
        OR (TG_OP <> 'DELETE' AND billing.is_priced_calendar(NEW.calendar_id))
    THEN
        RAISE EXCEPTION 'the calendar of a price that has begun is history'
            USING ERRCODE = 'UB013',
                DETAIL = format('Calendar %s, band %s.',
                    COALESCE(NEW.calendar_id, OLD.calendar_id), COALESCE(NEW.band, OLD.band)),
                HINT = 'Make a new calendar and enter new rates for it.';
    END IF;
    IF TG_OP <> 'INSERT'
        AND NOT EXISTS (SELECT FROM billing.calendar_bands WHERE calendar_id = OLD.calendar_id AND band = OLD.band)
        AND EXISTS (SELECT FROM billing.pricing_rates WHERE calendar_id = OLD.calendar_id AND terms -> 'bands' ? OLD.band)
    THEN
        RAISE EXCEPTION 'a rate names this band'
            USING ERRCODE = 'UB005',
                DETAIL = format('Calendar %s would have no band %s.', OLD.calendar_id, OLD.band),
                HINT = 'Take the band from the terms of the rates with this calendar first.';
    END IF;
    RETURN NULL;
END;
$$;

COMMENT ON FUNCTION billing.check_calendar_band IS
'Refuses other bands for a calendar that a price which has begun refers to (UB013), and the end of a band that a coming
price names (UB005).';
