-- rate: when a day begins somewhere on earth.
CREATE OR REPLACE FUNCTION billing.start_of_day(p_day date, p_timezone text)
RETURNS timestamptz
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    -- Where the clock is put back at 01:00 midnight comes twice, and PostgreSQL means the second one; where it is put forward at
    -- 23:00 the instant before midnight is an hour of the next day.
    SELECT LEAST(
        p_day::timestamp AT TIME ZONE p_timezone,
        ((p_day::timestamp - interval '1 microsecond') AT TIME ZONE p_timezone) + interval '1 microsecond'
    );
$$;

COMMENT ON FUNCTION billing.start_of_day IS
'The first instant of p_day in p_timezone: day_in_zone gives p_day of it, and an earlier day of every instant before it.';
