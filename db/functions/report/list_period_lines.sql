-- report: what the whole quantity of a period is charged for, line by line.
CREATE OR REPLACE FUNCTION billing.list_period_lines(
    p_model text,
    p_terms jsonb,
    p_resource_type text,
    p_measured numeric,
    p_events integer
)
RETURNS TABLE (subject text, detail text, amount numeric)
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
DECLARE
    v_per numeric := CASE WHEN p_resource_type = 'minute' THEN 60 ELSE 1 END;
    v_quantity numeric := billing.in_units(p_resource_type, p_measured);
    v_free numeric;
    v_count numeric;
    v_price numeric;
    v_part record;
BEGIN
    IF p_model = 'package' THEN
        v_free := COALESCE((p_terms ->> 'free_units')::numeric, 0);
        v_price := (p_terms ->> 'package_size')::numeric;
        v_quantity := GREATEST(v_quantity - v_free, 0);
        v_count := div(v_quantity, v_price) + CASE WHEN mod(v_quantity, v_price) > 0 THEN 1 ELSE 0 END;
        subject := 'packages';
        detail := format(
            '%s of %s at %s, begun ones count whole%s',
            v_count, trim_scale(v_price), trim_scale((p_terms ->> 'package_price')::numeric),
            CASE WHEN v_free > 0 THEN format('; the first %s are free', trim_scale(v_free)) END
        );
        amount := v_count * (p_terms ->> 'package_price')::numeric;
        RETURN NEXT;
        RETURN;
    END IF;

    IF p_model = 'percentage' THEN
        v_free := COALESCE((p_terms ->> 'free_amount')::numeric, 0);
        v_price := (p_terms ->> 'rate')::numeric;
        subject := 'percentage';
        detail := format(
            '%s %% of %s%s',
            trim_scale(v_price), billing.show_quotient(GREATEST(p_measured - v_free * v_per, 0), v_per),
            CASE WHEN v_free > 0 THEN format('; the first %s are free', trim_scale(v_free)) END
        );
        amount := GREATEST(v_quantity - v_free, 0) * v_price * 0.01;
        RETURN NEXT;
        v_free := COALESCE((p_terms ->> 'free_events')::numeric, 0);
        v_price := COALESCE((p_terms ->> 'fixed_fee')::numeric, 0);
        v_count := GREATEST(p_events - v_free, 0);
        IF v_price > 0 THEN
            subject := 'fixed fee';
            detail := format(
                '%s for each record (%s)%s',
                trim_scale(v_price), trim_scale(v_count),
                CASE WHEN v_free > 0 THEN format('; the first %s are free', trim_scale(v_free)) END
            );
            amount := v_count * v_price;
            RETURN NEXT;
        END IF;
        RETURN;
    END IF;

    FOR v_part IN SELECT * FROM billing.list_tiers(p_model, p_terms, v_quantity) LOOP
        subject := format('tier %s', v_part.tier);
        detail := format(
            '%s%s: %s at %s%s%s',
            CASE WHEN v_part.from_quantity > 0 THEN format('above %s, ', trim_scale(v_part.from_quantity)) END,
            COALESCE('up to ' || trim_scale(v_part.up_to), 'without end'),
            -- in_units gives fifty decimals, so that the exact seconds can be had back.
            billing.show_quotient(trim_scale(round(v_part.quantity * v_per, 30)), v_per),
            CASE WHEN p_model LIKE '%percentage' THEN trim_scale(v_part.unit_price * 100) ELSE trim_scale(v_part.unit_price) END,
            CASE WHEN p_model LIKE '%percentage' THEN ' %' ELSE ' each' END,
            CASE WHEN v_part.flat_fee > 0 THEN ' and the flat fee ' || trim_scale(v_part.flat_fee) END
        );
        amount := v_part.amount;
        RETURN NEXT;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.list_period_lines IS
'The lines that p_measured (seconds for minutes, else units) of p_events records is charged for by terms, checked, of a
model that prices a period: each tier entered, the packages, the percentage and the fixed fees; without the minimum and
maximum of a percentage. amount is not rounded; major units of the rate''s currency.';
