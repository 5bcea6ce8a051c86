-- rate: the band that holds at a time of a calendar's clock, and until when.
CREATE OR REPLACE FUNCTION billing.band_at(p_calendar_id bigint, p_local timestamp)
RETURNS TABLE (band text, until timestamp)
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    -- Of a day's bands only the first that has not ended matters: it holds, or nothing does until it begins.
    SELECT
        CASE
            WHEN h.holiday IS NOT NULL THEN 'holiday'
            WHEN b.from_time <= p_local::time THEN b.band
        END,
        p_local::date + CASE
            WHEN b.from_time <= p_local::time THEN b.until_time
            ELSE COALESCE(b.from_time, '24:00')
        END
    FROM (VALUES (1)) AS one (row)
    LEFT JOIN billing.calendar_holidays AS h ON h.calendar_id = p_calendar_id AND h.holiday = p_local::date
    LEFT JOIN LATERAL (
        SELECT x.band, x.from_time, x.until_time
        FROM billing.calendar_bands AS x
        WHERE h.holiday IS NULL
            AND x.calendar_id = p_calendar_id
            AND x.weekday = extract(isodow FROM p_local)::smallint
            AND x.until_time > p_local::time
        ORDER BY x.from_time
        LIMIT 1
    ) AS b ON true;
$$;

COMMENT ON FUNCTION billing.band_at IS
'The band of calendar p_calendar_id when its clock shows p_local (NULL: none holds; a holiday comes before the weekday),
and the next time on the clock, midnight at the latest, at which another may hold.';
