-- report: how one call or message comes to its price.
CREATE OR REPLACE FUNCTION billing.explain_charge(
    p_rate billing.pricing_rates,
    p_resource_type text,
    p_quantity numeric,
    p_at timestamptz
)
RETURNS TABLE (subject text, detail text, amount numeric)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
AS $$
DECLARE
    v_line record;
    -- The exact sum of the lines, and what their amounts, cut after 20 decimals, add up to.
    v_dividend numeric := 0;
    v_divisor numeric := 1;
    v_shown numeric := 0;
    v_common numeric;
    v_limit numeric;
    v_cost numeric;
BEGIN
    IF p_quantity = 0 THEN
        RETURN QUERY VALUES ('price', 'nothing was used, so nothing is charged, no fee and no minimum either', 0::numeric);
        RETURN;
    END IF;

    FOR v_line IN SELECT * FROM billing.list_charge_lines(p_rate, p_resource_type, p_quantity, p_at) LOOP
        subject := v_line.subject;
        detail := v_line.detail;
        amount := NULL;
        IF v_line.dividend IS NOT NULL THEN
            amount := trim_scale(trunc(v_line.dividend * 1.000000000000000000000000000000 / v_line.divisor, 20));
            v_shown := v_shown + amount;
            v_common := lcm(v_divisor, v_line.divisor);
            v_dividend := v_dividend * div(v_common, v_divisor) + v_line.dividend * div(v_common, v_line.divisor);
            v_divisor := v_common;
        END IF;
        RETURN NEXT;
    END LOOP;

    IF v_dividend < p_rate.minimum_charge * v_divisor THEN
        subject := 'minimum charge';
        detail := format('a charge is at least %s, the above comes to %s', trim_scale(p_rate.minimum_charge),
            billing.show_quotient(v_dividend, v_divisor));
        amount := p_rate.minimum_charge - v_shown;
        RETURN NEXT;
        v_dividend := p_rate.minimum_charge;
        v_divisor := 1;
        v_shown := p_rate.minimum_charge;
    END IF;
    v_limit := (p_rate.terms ->> 'maximum_charge')::numeric;
    IF v_dividend > v_limit * v_divisor THEN
        subject := 'maximum charge';
        detail := format('a charge is at most %s, the above comes to %s', trim_scale(v_limit),
            billing.show_quotient(v_dividend, v_divisor));
        amount := v_limit - v_shown;
        RETURN NEXT;
        v_dividend := v_limit;
        v_divisor := 1;
        v_shown := v_limit;
    END IF;

    v_cost := billing.round_quotient(v_dividend, v_divisor);
    subject := 'rounding';
    detail := 'to 10 decimals, once, half away from zero: ' || billing.show_quotient(v_dividend, v_divisor)
        || CASE WHEN v_cost * v_divisor = v_dividend THEN ' stays' ELSE ' becomes ' || trim_scale(v_cost) END;
    amount := trim_scale(v_cost - v_shown);
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.explain_charge IS
'The rows by which p_quantity (seconds for minutes, else units) at p_at comes to its price by p_rate, which prices each
call or message. The amounts add up to that price; major units of the rate''s currency, cut after 20 decimals where the exact
one has no end (the rounding makes up for it), NULL in rows that are no amount.';
