-- rate: what a price costs that its columns alone do not tell.
CREATE OR REPLACE FUNCTION billing.price_by_terms(
    p_rate_id bigint,
    p_resource_type text,
    p_quantity numeric,
    p_at timestamptz,
    OUT billed numeric,
    OUT total_cost numeric,
    OUT period_rate_id bigint
)
LANGUAGE plpgsql
STABLE
STRICT
PARALLEL SAFE
AS $$
DECLARE
    v_rate billing.pricing_rates;
    v_per numeric := CASE WHEN p_resource_type = 'minute' THEN 60 ELSE 1 END;
    v_cost numeric;
BEGIN
    SELECT * INTO STRICT v_rate FROM billing.pricing_rates WHERE id = p_rate_id;

    IF v_rate.charge_model = 'stepped' THEN
        billed := COALESCE((SELECT sum(s.billed) FROM billing.list_steps(v_rate.terms, p_quantity) AS s), 0);
        total_cost := billing.apply_terms('stepped', v_rate.terms, p_quantity, 1);
        RETURN;
    END IF;

    IF v_rate.calendar_id IS NOT NULL THEN
        SELECT COALESCE(sum(b.billed), 0), sum(b.billed * b.unit_price + b.connection_fee * v_per)
        INTO billed, v_cost
        FROM billing.bill_bands(v_rate, p_resource_type, p_quantity, p_at) AS b;
    ELSE
        billed := CASE
            WHEN p_resource_type = 'minute'
                THEN billing.bill_seconds(p_quantity, v_rate.initial_increment, v_rate.billing_increment)
            ELSE p_quantity
        END;
        v_cost := billed * v_rate.unit_price + v_rate.connection_fee * v_per;
    END IF;

    IF billing.is_period_priced(v_rate.charge_model) THEN
        period_rate_id := p_rate_id;
        total_cost := 0;
    ELSIF billed = 0 THEN
        total_cost := 0;
    ELSE
        total_cost := round(
            LEAST(
                GREATEST(billing.round_quotient(v_cost, v_per), v_rate.minimum_charge),
                (v_rate.terms ->> 'maximum_charge')::numeric
            ),
            10
        );
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.price_by_terms IS
'billed (seconds for minutes, else units) and total_cost of p_quantity at p_at, by a rate with a charge model other than
per_unit, with a maximum charge or with bands. Of a period''s price: total_cost 0, and period_rate_id names the rate.
NULL for a rate that is NULL, which costs the statements that price many rows nothing.';
