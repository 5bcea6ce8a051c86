-- rate: what one quantity costs one tenant, by one probe of terms and prices.
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
    v_per numeric := 1;
    v_billed numeric := p_quantity;
    v_initial_increment numeric;
    v_billing_increment numeric;
    v_connection_fee numeric;
    v_minimum_charge numeric;
BEGIN
    IF (p_quantity >= 0 AND p_quantity < 'Infinity' AND isfinite(p_at)) IS NOT TRUE THEN
        v_priced.problem := 'UB003';
        RETURN v_priced;
    END IF;

    SELECT t.timezone, t.currency, p.rate_id, p.unit_price, p.initial_increment, p.billing_increment,
        p.connection_fee, p.minimum_charge
    INTO v_timezone, v_priced.currency, v_priced.rate_id, v_priced.unit_cost, v_initial_increment,
        v_billing_increment, v_connection_fee, v_minimum_charge
    FROM billing.tenant_terms AS t
    LEFT JOIN LATERAL (
        SELECT r.*
        FROM (VALUES (t.tenant_id), (-t.plan_id), (0)) AS c (card)
        CROSS JOIN LATERAL (
            SELECT x.*
            FROM billing.resolved_prices AS x
            WHERE x.card = c.card
                AND x.channel = p_channel
                AND x.resource_type = p_resource_type
                AND x.lo <= COALESCE(p_destination, '')
                AND x.valid_from <= p_at
            ORDER BY x.lo DESC, x.valid_from DESC
            LIMIT 1
        ) AS r
        WHERE r.rate_id IS NOT NULL
            AND r.currency = t.currency
        LIMIT 1
    ) AS p ON true
    WHERE t.tenant_id = p_tenant_id
        AND t.valid_from <= p_at
    ORDER BY t.valid_from DESC
    LIMIT 1;

    IF NOT FOUND THEN
        v_priced.problem := 'UB002';
    ELSIF v_priced.rate_id IS NULL THEN
        v_priced.problem := 'UB001';
    ELSE
        IF p_resource_type = 'minute' THEN
            v_per := 60;
            v_billed := billing.bill_seconds(p_quantity, v_initial_increment, v_billing_increment);
        END IF;
        v_priced.usage_date := (p_at AT TIME ZONE v_timezone)::date;
        v_priced.quantity := trim_scale(p_quantity / v_per);
        v_priced.billed_quantity := trim_scale(v_billed / v_per);
        v_priced.total_cost := billing.cost_per_unit(v_billed, v_per, v_priced.unit_cost, v_connection_fee, v_minimum_charge);
    END IF;
    RETURN v_priced;
END;
$$;

COMMENT ON FUNCTION billing.price_usage IS
'Prices p_quantity (seconds for minutes, else units) for p_tenant_id at p_at, to p_destination as normalize_destination
gives it. Never raises for what is foreseeable: problem says UB001, UB002 or UB003 instead.';
