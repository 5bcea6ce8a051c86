-- rate: the price of a quantity by terms already checked, rounded once.
CREATE OR REPLACE FUNCTION billing.apply_terms(p_model text, p_terms jsonb, p_quantity numeric, p_events integer)
RETURNS numeric
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
DECLARE
    v_cost numeric;
    v_least numeric;
    v_most numeric;
    v_initial numeric;
    v_increment numeric;
    v_size numeric;
    v_quantity numeric;
    v_events numeric;
    -- The cost as a fraction, until it is rounded.
    v_dividend numeric;
    v_divisor numeric;
    v_step record;
BEGIN
    CASE p_model
        WHEN 'per_unit' THEN
            v_initial := COALESCE((p_terms ->> 'initial_increment')::numeric, 0);
            v_increment := COALESCE((p_terms ->> 'increment')::numeric, 0);
            v_quantity := billing.bill_seconds(p_quantity, v_initial, v_increment);
            IF v_quantity = 0 THEN
                RETURN 0.0000000000;
            END IF;
            v_divisor := COALESCE((p_terms ->> 'per')::numeric, 1);
            v_dividend := v_quantity * (p_terms ->> 'unit_price')::numeric
                + COALESCE((p_terms ->> 'connection_fee')::numeric, 0) * v_divisor;
            v_cost := billing.round_quotient(v_dividend, v_divisor);
            v_least := (p_terms ->> 'minimum_charge')::numeric;
            v_most := (p_terms ->> 'maximum_charge')::numeric;

        WHEN 'stepped' THEN
            IF p_quantity = 0 THEN
                RETURN 0.0000000000;
            END IF;
            v_dividend := COALESCE((p_terms ->> 'connection_fee')::numeric, 0);
            v_divisor := 1;
            FOR v_step IN SELECT s.billed, s.unit_price, s.per FROM billing.list_steps(p_terms, p_quantity) AS s LOOP
                -- To a common denominator first: two quotients that are each rounded have no exact sum.
                IF v_step.per <> v_divisor THEN
                    v_size := lcm(v_divisor, v_step.per);
                    v_dividend := v_dividend * div(v_size, v_divisor);
                    v_divisor := v_size;
                END IF;
                v_dividend := v_dividend + v_step.billed * v_step.unit_price * div(v_divisor, v_step.per);
            END LOOP;
            v_cost := billing.round_quotient(v_dividend, v_divisor);

        WHEN 'package' THEN
            v_size := (p_terms ->> 'package_size')::numeric;
            v_quantity := GREATEST(p_quantity - COALESCE((p_terms ->> 'free_units')::numeric, 0), 0);
            v_cost := (div(v_quantity, v_size) + CASE WHEN mod(v_quantity, v_size) > 0 THEN 1 ELSE 0 END)
                * (p_terms ->> 'package_price')::numeric;

        WHEN 'percentage' THEN
            v_quantity := GREATEST(p_quantity - COALESCE((p_terms ->> 'free_amount')::numeric, 0), 0);
            v_events := GREATEST(p_events - COALESCE((p_terms ->> 'free_events')::numeric, 0), 0)
                * COALESCE((p_terms ->> 'fixed_fee')::numeric, 0);
            -- What is wholly free is not charged, a minimum neither.
            IF p_quantity = 0 OR v_quantity = 0 AND v_events = 0 THEN
                RETURN 0.0000000000;
            END IF;
            v_cost := v_quantity * (p_terms ->> 'rate')::numeric * 0.01 + v_events;
            v_least := (p_terms ->> 'minimum')::numeric;
            v_most := (p_terms ->> 'maximum')::numeric;

        ELSE
            SELECT sum(t.amount)
            INTO v_cost
            FROM billing.list_tiers(p_model, p_terms, p_quantity) AS t;
    END CASE;
    -- GREATEST and LEAST pass over a NULL.
    RETURN round(LEAST(GREATEST(v_cost, v_least), v_most), 10);
END;
$$;

COMMENT ON FUNCTION billing.apply_terms IS
'What p_quantity (of p_events events, for percentage) costs by p_terms, which check_terms has passed, p_quantity being
finite and not negative: billing.charge without its checks. Exact, multiplied before divided, rounded once to 10 decimals,
half away from zero. Major units of the rate''s currency.';
