-- report: what one call or message is charged for, each line an exact fraction.
CREATE OR REPLACE FUNCTION billing.list_charge_lines(
    p_rate billing.pricing_rates,
    p_resource_type text,
    p_quantity numeric,
    p_at timestamptz
)
RETURNS TABLE (subject text, detail text, dividend numeric, divisor numeric)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
AS $$
DECLARE
    v_is_call boolean := p_resource_type = 'minute';
    v_unit text := CASE WHEN p_resource_type = 'minute' THEN ' s' ELSE '' END;
    v_per numeric := CASE WHEN p_resource_type = 'minute' THEN 60 ELSE 1 END;
    v_timezone text := (SELECT c.timezone FROM billing.calendars AS c WHERE c.id = p_rate.calendar_id);
    v_fee numeric := p_rate.connection_fee;
    v_billed numeric := p_quantity;
    v_part record;
BEGIN
    IF p_rate.charge_model = 'stepped' THEN
        v_fee := COALESCE((p_rate.terms ->> 'connection_fee')::numeric, 0);
        FOR v_part IN
            SELECT s.*, COALESCE((p_rate.terms -> 'steps' -> (s.step - 1) ->> 'increment')::numeric, 0) AS increment
            FROM billing.list_steps(p_rate.terms, p_quantity) AS s
        LOOP
            subject := format('step %s', v_part.step);
            dividend := v_part.billed * v_part.unit_price;
            divisor := v_part.per;
            detail := format(
                'from %s%s on: %s%s at %s%s',
                trim_scale(v_part.from_quantity), v_unit, trim_scale(v_part.quantity), v_unit, trim_scale(v_part.unit_price),
                CASE WHEN v_is_call OR v_part.per <> 1 THEN format(' for %s%s', trim_scale(v_part.per), v_unit) END
            ) || CASE
                WHEN v_part.billed <> v_part.quantity
                    THEN format(', billed as %s x %s = %s%s',
                        div(v_part.billed, v_part.increment), trim_scale(v_part.increment), trim_scale(v_part.billed), v_unit)
                ELSE ''
            END || format(
                ': %s x %s%s',
                trim_scale(v_part.billed), trim_scale(v_part.unit_price),
                CASE WHEN v_part.per <> 1 THEN ' / ' || trim_scale(v_part.per) END
            );
            RETURN NEXT;
        END LOOP;
    ELSIF p_rate.calendar_id IS NOT NULL THEN
        FOR v_part IN
            SELECT b.*, p_rate.terms -> 'bands' -> b.band AS terms
            FROM billing.bill_bands(p_rate, p_resource_type, p_quantity, p_at) AS b
        LOOP
            subject := COALESCE('band ' || v_part.band, 'no band');
            detail := format('from %s', billing.show_time(v_part.starts_at, v_timezone))
                || CASE WHEN v_part.terms IS NULL THEN ', at the price for all other times' ELSE '' END;
            IF v_is_call THEN
                detail := format('%s; increments %s', detail, billing.describe_increments(
                    v_part.quantity,
                    CASE
                        WHEN v_part.part = 1 THEN COALESCE((v_part.terms ->> 'initial_increment')::numeric, p_rate.initial_increment)
                        ELSE 0
                    END,
                    COALESCE((v_part.terms ->> 'increment')::numeric, p_rate.billing_increment)
                ));
            END IF;
            detail := format('%s; %s%s at %s%s', detail, trim_scale(v_part.billed), v_unit, trim_scale(v_part.unit_price),
                CASE WHEN v_is_call THEN ' a minute' END);
            dividend := v_part.billed * v_part.unit_price;
            divisor := v_per;
            RETURN NEXT;
            IF v_part.part = 1 THEN
                v_fee := v_part.connection_fee;
            END IF;
        END LOOP;
    ELSE
        IF v_is_call THEN
            v_billed := billing.bill_seconds(p_quantity, p_rate.initial_increment, p_rate.billing_increment);
            subject := 'increments';
            detail := billing.describe_increments(p_quantity, p_rate.initial_increment, p_rate.billing_increment);
            RETURN NEXT;
        END IF;
        subject := 'price';
        detail := CASE
            WHEN v_is_call THEN format('%s s at %s a minute: %s x %s / 60',
                trim_scale(v_billed), trim_scale(p_rate.unit_price), trim_scale(v_billed), trim_scale(p_rate.unit_price))
            ELSE format('%s at %s each', trim_scale(v_billed), trim_scale(p_rate.unit_price))
        END;
        dividend := v_billed * p_rate.unit_price;
        divisor := v_per;
        RETURN NEXT;
    END IF;
    IF v_fee > 0 THEN
        subject := 'connection fee';
        detail := 'once, whatever the quantity';
        dividend := v_fee;
        divisor := 1;
        RETURN NEXT;
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.list_charge_lines IS
'The lines that p_quantity (seconds for minutes, else units), above 0, at p_at is charged for by p_rate, which prices each call
or message: the price of each step, band or of all, and the connection fee. dividend / divisor is the exact amount, major
units of the rate''s currency; NULL where a line only tells how seconds are counted.';
