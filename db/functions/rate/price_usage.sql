-- rate: what one quantity costs one tenant, by one probe of its terms and one of prices.
CREATE OR REPLACE FUNCTION billing.price_usage(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_quantity numeric,
    p_destination text,
    p_at timestamptz
)
RETURNS billing.priced_usage
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
AS $$
DECLARE
    v_priced billing.priced_usage;
    v_timezone text;
    v_cards bigint[];
    v_card bigint;
    v_currency text;
    v_initial_increment numeric;
    v_billing_increment numeric;
    v_connection_fee numeric;
    v_minimum_charge numeric;
    v_by_terms boolean;
    v_billed numeric;
BEGIN
    IF (p_quantity >= 0 AND p_quantity < 'Infinity' AND isfinite(p_at)) IS NOT TRUE THEN
        v_priced.problem := 'UB003';
        RETURN v_priced;
    END IF;

    SELECT t.timezone, t.currency, t.cards
    INTO v_timezone, v_priced.currency, v_cards
    FROM billing.tenant_terms AS t
    WHERE t.tenant_id = p_tenant_id
        AND t.valid_from <= p_at
    ORDER BY t.valid_from DESC
    LIMIT 1;
    IF NOT FOUND THEN
        v_priced.problem := 'UB002';
        RETURN v_priced;
    END IF;

    -- The first card with a price here and now; most tenants have only one card.
    FOREACH v_card IN ARRAY v_cards LOOP
        SELECT p.rate_id, p.currency, p.unit_price, p.initial_increment, p.billing_increment, p.connection_fee,
            p.minimum_charge, p.by_terms
        INTO v_priced.rate_id, v_currency, v_priced.unit_cost, v_initial_increment, v_billing_increment,
            v_connection_fee, v_minimum_charge, v_by_terms
        FROM billing.resolved_prices AS p
        WHERE p.card = v_card
            AND p.channel = p_channel
            AND p.resource_type = p_resource_type
            AND p.lo <= COALESCE(p_destination, '')
            AND p.valid_from <= p_at
        ORDER BY p.lo DESC, p.valid_from DESC
        LIMIT 1;
        EXIT WHEN v_currency = v_priced.currency;
    END LOOP;
    IF v_currency IS DISTINCT FROM v_priced.currency THEN
        v_priced := NULL;
        v_priced.problem := 'UB001';
        RETURN v_priced;
    END IF;

    v_priced.usage_date := (p_at AT TIME ZONE v_timezone)::date;
    IF v_by_terms THEN
        SELECT t.billed, t.total_cost, t.period_rate_id
        INTO v_billed, v_priced.total_cost, v_priced.period_rate_id
        FROM billing.price_by_terms(v_priced.rate_id, p_resource_type, p_quantity, p_at) AS t;
        v_priced.quantity := CASE WHEN p_resource_type = 'minute' THEN trim_scale(p_quantity / 60) ELSE p_quantity END;
        v_priced.billed_quantity := CASE WHEN p_resource_type = 'minute' THEN trim_scale(v_billed / 60) ELSE v_billed END;
    ELSIF p_resource_type = 'minute' THEN
        v_billed := billing.bill_seconds(p_quantity, v_initial_increment, v_billing_increment);
        v_priced.quantity := trim_scale(p_quantity / 60);
        v_priced.billed_quantity := trim_scale(v_billed / 60);
        v_priced.total_cost := billing.cost_per_unit(v_billed, 60, v_priced.unit_cost, v_connection_fee, v_minimum_charge);
    ELSE
        v_priced.quantity := p_quantity;
        v_priced.billed_quantity := p_quantity;
        v_priced.total_cost := billing.cost_per_unit(p_quantity, 1, v_priced.unit_cost, v_connection_fee, v_minimum_charge);
    END IF;
    RETURN v_priced;
END;
$$;

COMMENT ON FUNCTION billing.price_usage IS
'Prices p_quantity (seconds for minutes, else units) for p_tenant_id at p_at, to p_destination as normalize_destination
gives it. Never raises for what is foreseeable: problem says UB001, UB002 or UB003 instead.';
