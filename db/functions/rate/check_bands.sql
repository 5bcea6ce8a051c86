-- rate: refuses prices of bands that could not be trusted.
CREATE OR REPLACE FUNCTION billing.check_bands(p_calendar_id bigint, p_terms jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_bands jsonb := p_terms -> 'bands';
    v_band text;
    v_place text;
    v_terms jsonb;
BEGIN
    IF p_calendar_id IS NULL AND v_bands IS NULL THEN
        RETURN;
    END IF;
    IF p_calendar_id IS NULL OR v_bands IS NULL THEN
        PERFORM billing.refuse_terms(
            CASE WHEN v_bands IS NULL THEN 'calendar_id without bands.' ELSE 'bands without calendar_id.' END,
            'A rate by time of day has both: calendar_id, and in terms.bands the price of each band.'
        );
    END IF;
    IF jsonb_typeof(v_bands) <> 'object' OR v_bands = '{}' THEN
        PERFORM billing.refuse_terms(
            format('bands are %s.', left(v_bands::text, 100)), 'bands is a JSON object with the terms of at least one band.'
        );
    END IF;

    -- Held to the end of the transaction, so that no band goes while the rate that names it cannot be seen yet.
    PERFORM FROM billing.calendars WHERE id = p_calendar_id FOR KEY SHARE;
    IF NOT FOUND THEN
        PERFORM billing.refuse_terms(format('There is no calendar %s.', p_calendar_id), 'billing.calendars lists the calendars.');
    END IF;
    FOR v_band, v_terms IN SELECT key, value FROM jsonb_each(v_bands) LOOP
        v_place := format('band %s', quote_ident(left(v_band, 100)));
        IF v_band <> 'holiday'
            AND NOT EXISTS (SELECT FROM billing.calendar_bands AS b WHERE b.calendar_id = p_calendar_id AND b.band = v_band)
        THEN
            PERFORM billing.refuse_terms(
                format('%s: calendar %s has no such band.', v_place, p_calendar_id),
                'billing.calendar_bands lists the bands; holiday is always one.'
            );
        END IF;
        -- What a band leaves out is in the columns.
        PERFORM billing.check_amounts(v_place, v_terms, '{}', '{unit_price, initial_increment, increment, connection_fee}');
        IF GREATEST(billing.amount_of(v_terms -> 'initial_increment'), billing.amount_of(v_terms -> 'increment')) > 86400 THEN
            PERFORM billing.refuse_terms(
                format('%s: increments are %s/%s.', v_place, v_terms ->> 'initial_increment', v_terms ->> 'increment'),
                'Increments are 0 to 86400 s.'
            );
        END IF;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.check_bands IS
'Raises UB005 for the bands in p_terms, a rate''s terms, unless the rate has a calendar too (and bands where it has one),
the calendar has each of them (or it is holiday), and each is an object of nothing but unit_price, connection_fee (major
units), initial_increment and increment (seconds), all amounts. Locks the calendar against other bands meanwhile.';
