-- report: what a quantity adds to a billing period that is priced as a whole.
CREATE OR REPLACE FUNCTION billing.explain_period(
    p_rate billing.pricing_rates,
    p_resource_type text,
    p_before numeric,
    p_events_before integer,
    p_billed numeric,
    p_events integer
)
RETURNS TABLE (subject text, detail text, amount numeric)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
AS $$
DECLARE
    v_per numeric := CASE WHEN p_resource_type = 'minute' THEN 60 ELSE 1 END;
    v_unit text := CASE WHEN p_resource_type = 'minute' THEN ' minutes' ELSE '' END;
    v_exact numeric := 0;
    v_shown numeric := 0;
    v_limit numeric;
    v_line record;
BEGIN
    subject := 'quantity';
    detail := format(
        'with this the period holds %s%s (records: %s); the rate (%s) prices all of it together',
        billing.show_quotient(p_before + p_billed, v_per), v_unit, p_events_before + p_events,
        replace(p_rate.charge_model, '_', ' ')
    );
    RETURN NEXT;

    FOR v_line IN
        SELECT *
        FROM billing.list_period_lines(
            p_rate.charge_model, p_rate.terms, p_resource_type, p_before + p_billed, p_events_before + p_events
        )
    LOOP
        subject := v_line.subject;
        detail := v_line.detail;
        amount := trim_scale(trunc(v_line.amount, 20));
        v_exact := v_exact + v_line.amount;
        v_shown := v_shown + amount;
        RETURN NEXT;
    END LOOP;

    -- Only percentages have them, and not for what is wholly free.
    IF v_exact > 0 AND p_rate.charge_model = 'percentage' THEN
        v_limit := LEAST(
            GREATEST(v_exact, (p_rate.terms ->> 'minimum')::numeric), (p_rate.terms ->> 'maximum')::numeric
        );
        IF v_limit <> v_exact THEN
            subject := CASE WHEN v_limit > v_exact THEN 'minimum' ELSE 'maximum' END;
            detail := format(
                'the period costs at %s %s, the above comes to %s',
                CASE WHEN v_limit > v_exact THEN 'least' ELSE 'most' END, trim_scale(v_limit), trim_scale(trunc(v_exact, 20))
            );
            amount := v_limit - v_shown;
            v_exact := v_limit;
            v_shown := v_limit;
            RETURN NEXT;
        END IF;
    END IF;

    subject := 'rounding';
    detail := format(
        'to 10 decimals, once, half away from zero: the period comes to %s with this', trim_scale(round(v_exact, 10))
    );
    amount := trim_scale(round(v_exact, 10) - v_shown);
    RETURN NEXT;

    subject := 'without this';
    detail := format(
        'taken off again, what the period costs without this: %s%s (records: %s)',
        billing.show_quotient(p_before, v_per), v_unit, p_events_before
    );
    amount := trim_scale(-billing.apply_terms(
        p_rate.charge_model, p_rate.terms, billing.in_units(p_resource_type, p_before), p_events_before
    ));
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.explain_period IS
'The rows by which p_billed (seconds for minutes, else units) of p_events records comes to what it adds, by p_rate, to a
billing period with p_before in p_events_before records. The amounts add up to f(with this) - f(without); major units of the
rate''s currency, cut after 20 decimals where the exact one is longer (the rounding makes up for it), NULL in rows that are
no amount.';
