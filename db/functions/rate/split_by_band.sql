-- rate: a call cut where the band of its calendar changes.
CREATE OR REPLACE FUNCTION billing.split_by_band(p_calendar_id bigint, p_from timestamptz, p_seconds numeric)
RETURNS TABLE (part integer, band text, starts_at timestamptz, seconds numeric)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
AS $$
DECLARE
    v_timezone text := (SELECT c.timezone FROM billing.calendars AS c WHERE c.id = p_calendar_id);
    -- In UTC a day has 24 hours, in the session's zone it may not.
    v_at timestamp := p_from AT TIME ZONE 'UTC';
    v_end timestamp;
    v_start timestamp := v_at;
    v_left numeric := p_seconds;
    v_shifts timestamp[];
    v_next_shift integer := 1;
    v_local timestamp;
    v_held record;
    v_found record;
BEGIN
    IF p_seconds = 0 THEN
        RETURN;
    END IF;
    IF billing.find_problem(p_seconds, 'minute') IS NOT NULL OR isfinite(p_from) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad quantity'
            USING ERRCODE = 'UB003',
                DETAIL = format('A call of %s seconds from %s.', p_seconds, p_from),
                HINT = billing.problem_hint('UB003');
    END IF;
    IF v_timezone IS NULL THEN
        RAISE EXCEPTION 'no such calendar'
            USING ERRCODE = 'UB011',
                DETAIL = format('There is no calendar %s.', p_calendar_id),
                HINT = 'billing.calendars lists the calendars.';
    END IF;

    -- What is shorter than a microsecond begins in the microsecond before the end.
    v_end := v_at + interval '1 microsecond' * ceil(p_seconds * 1000000)::double precision;
    v_shifts := billing.zone_shifts(v_timezone, v_at, v_end);
    part := 1;
    LOOP
        v_local := v_at AT TIME ZONE 'UTC' AT TIME ZONE v_timezone;
        SELECT f.band, f.until INTO v_found FROM billing.band_at(p_calendar_id, v_local) AS f;
        IF v_at = v_start THEN
            v_held := v_found;
        ELSIF v_found.band IS DISTINCT FROM v_held.band THEN
            band := v_held.band;
            starts_at := v_start AT TIME ZONE 'UTC';
            seconds := trim_scale(extract(epoch FROM v_at - v_start));
            v_left := v_left - seconds;
            RETURN NEXT;
            part := part + 1;
            v_start := v_at;
            v_held := v_found;
        END IF;
        -- The clock runs evenly until it shows the end of the band or is itself put forward or back.
        v_at := v_at + (v_found.until - v_local);
        IF v_shifts[v_next_shift] <= v_at THEN
            v_at := v_shifts[v_next_shift];
            v_next_shift := v_next_shift + 1;
        END IF;
        EXIT WHEN v_at >= v_end;
    END LOOP;
    band := v_held.band;
    starts_at := v_start AT TIME ZONE 'UTC';
    seconds := v_left;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.split_by_band IS
'A call from p_from that lasts p_seconds (up to 31 days), cut wherever the band of calendar p_calendar_id changes by the
calendar''s clock: part counts from 1, band is NULL where none holds, seconds add up to p_seconds exactly. An hour that
the clock skips is in no part, one that it repeats is there twice. No rows for 0 seconds. Raises UB003, UB011.';
