-- report: an instant by the clock of a zone, for people.
CREATE OR REPLACE FUNCTION billing.show_time(p_at timestamptz, p_timezone text)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT to_char(p_at AT TIME ZONE p_timezone, 'YYYY-MM-DD HH24:MI:SS ') || p_timezone;
$$;

COMMENT ON FUNCTION billing.show_time IS
'p_at as the clock of p_timezone shows it, and the zone: 2025-11-14 11:00:00 Europe/Berlin. Parts of a second are left out.';
