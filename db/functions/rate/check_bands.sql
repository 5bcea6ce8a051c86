-- rate: refuses prices of bands that could not be trusted.
CREATE OR REPLACE FUNCTION billing.check_bands(p_calendar_id bigint, p_terms jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_bands jsonb := p_terms -> 'bands';
    v_reason text;
    v_band text;
    v_terms jsonb;
BEGIN
    IF p_calendar_id IS NULL AND v_bands IS NULL THEN
        RETURN;
    END IF;
    -- Held to the end of the transaction, so that no band goes while the rate that names it is not to be seen yet.
    PERFORM FROM billing.calendars WHERE id = p_calendar_id FOR KEY SHARE;
    v_reason := CASE
        WHEN p_calendar_id IS NULL THEN 'terms.bands without calendar_id'
        WHEN NOT FOUND THEN format('there is no calendar %s', p_calendar_id)
        WHEN v_bands IS NULL THEN 'calendar_id without terms.bands'
        WHEN jsonb_typeof(v_bands) <> 'object' OR v_bands = '{}' THEN 'terms.bands is not an object with a key for each band'
    END;
    IF v_reason IS NULL THEN
        SELECT
            CASE
                WHEN b.key <> 'holiday'
                    AND NOT EXISTS (SELECT FROM billing.calendar_bands AS c WHERE c.calendar_id = p_calendar_id AND c.band = b.key)
                    THEN format('calendar %s has no band %s', p_calendar_id, to_jsonb(b.key))
                WHEN jsonb_typeof(b.value) <> 'object' THEN format('band %s is not an object', to_jsonb(b.key))
                ELSE (
                    SELECT format('band %s has the unknown term %s', to_jsonb(b.key), to_jsonb(t.key))
                    FROM jsonb_object_keys(b.value) AS t (key)
                    WHERE t.key NOT IN ('unit_price', 'initial_increment', 'increment', 'connection_fee')
                    LIMIT 1
                )
            END AS reason
        INTO v_reason
        FROM jsonb_each(v_bands) AS b
        ORDER BY reason
        LIMIT 1;
    END IF;
    IF v_reason IS NOT NULL THEN
        RAISE EXCEPTION 'bad bands of a rate'
            USING ERRCODE = 'UB005',
                DETAIL = format('%s.', v_reason),
                HINT = 'terms.bands is {"peak": {"unit_price": 0.02, "initial_increment": 60, "increment": 60, "connection_fee": 0}}, with bands of calendar_id or holiday; what a band leaves out comes from the columns.';
    END IF;

    -- What a band leaves out is in the columns, which are checked as such.
    FOR v_band, v_terms IN SELECT key, value FROM jsonb_each(v_bands) LOOP
        PERFORM billing.check_terms('per_unit', '{"unit_price": 0}' || v_terms);
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.check_bands IS
'Refuses with UB005 a rate''s bands without a calendar and a calendar without bands, bands that the calendar does not
have, and terms of a band that are unknown or no price or increment (as check_terms has it). p_terms: of the rate.';
