-- rate: when the clock of a time zone is put forward or back.
CREATE OR REPLACE FUNCTION billing.zone_shifts(p_timezone text, p_from timestamp, p_until timestamp)
RETURNS timestamp[]
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
AS $$
DECLARE
    v_shifts timestamp[] := '{}'::timestamp[];
    -- Zones shift at whole seconds, so nothing shifts within what is cut off here.
    v_day timestamp := date_trunc('second', p_from);
    v_end timestamp := date_trunc('second', p_until);
    v_offset interval := v_day AT TIME ZONE 'UTC' AT TIME ZONE p_timezone - v_day;
    v_offset_after interval;
    v_low timestamp;
    v_high timestamp;
    v_middle timestamp;
BEGIN
    -- No zone has ever shifted twice within three days: where the offset is the same a day later, it was all day.
    WHILE v_day < v_end LOOP
        v_low := v_day;
        v_high := LEAST(v_day + interval '1 day', v_end);
        v_day := v_high;
        v_offset_after := v_high AT TIME ZONE 'UTC' AT TIME ZONE p_timezone - v_high;
        CONTINUE WHEN v_offset_after = v_offset;
        WHILE v_high - v_low > interval '1 second' LOOP
            v_middle := date_trunc('second', v_low + (v_high - v_low) / 2);
            IF v_middle AT TIME ZONE 'UTC' AT TIME ZONE p_timezone - v_middle = v_offset THEN
                v_low := v_middle;
            ELSE
                v_high := v_middle;
            END IF;
        END LOOP;
        v_shifts := v_shifts || v_high;
        v_offset := v_offset_after;
    END LOOP;
    RETURN v_shifts;
END;
$$;

COMMENT ON FUNCTION billing.zone_shifts IS
'The instants after p_from, up to and with p_until, at which p_timezone shows another distance from UTC than just before;
in order. All three in UTC. PostgreSQL has no list of them, so they are searched for.';
