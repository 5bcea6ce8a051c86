-- rate: the day of an instant somewhere on earth, within the calendar.
CREATE OR REPLACE FUNCTION billing.day_in_zone(p_at timestamptz, p_timezone text)
RETURNS date
LANGUAGE sql
STABLE
STRICT
PARALLEL SAFE
AS $$
    -- PostgreSQL cannot place the first and last days that it knows, nor infinity, in a zone.
    SELECT (LEAST(GREATEST(p_at, '0001-01-02 00:00:00+00'), '9999-12-30 00:00:00+00') AT TIME ZONE p_timezone)::date;
$$;

COMMENT ON FUNCTION billing.day_in_zone IS
'The day of p_at in p_timezone; of what is before the year 1 or after 9999, infinity too, the first or last day of these.';
