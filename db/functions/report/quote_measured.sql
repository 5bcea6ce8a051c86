-- report: what one more quantity would cost a tenant, on top of what its period holds.
CREATE OR REPLACE FUNCTION billing.quote_measured(
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
AS $$
DECLARE
    v_priced billing.priced_usage := billing.price_or_raise(
        p_tenant_id, p_channel, p_resource_type, p_quantity, p_destination, p_at
    );
    v_rate billing.pricing_rates;
    v_period record;
    v_billed numeric;
    v_count bigint;
    v_more integer := CASE WHEN p_quantity > 0 THEN 1 ELSE 0 END;
BEGIN
    IF v_priced.period_rate_id IS NULL THEN
        RETURN v_priced;
    END IF;

    SELECT * INTO v_rate FROM billing.pricing_rates WHERE id = v_priced.period_rate_id;
    SELECT * INTO v_period FROM billing.get_billing_period(p_tenant_id, p_at);
    SELECT COALESCE(sum(s.billed), 0), COALESCE(sum(s.record_count), 0)
    INTO v_billed, v_count
    FROM billing.daily_sums AS s
    WHERE s.tenant_id = p_tenant_id
        AND s.summary_date BETWEEN v_period.period_start AND v_period.period_end
        AND s.channel = p_channel
        AND s.resource_type = p_resource_type
        AND s.rate_id = v_rate.id;

    v_priced.total_cost := billing.apply_terms(
        v_rate.charge_model, v_rate.terms,
        billing.in_units(p_resource_type, v_billed + billing.in_seconds(p_resource_type, v_priced.billed_quantity)),
        v_count::integer + v_more
    ) - billing.apply_terms(v_rate.charge_model, v_rate.terms, billing.in_units(p_resource_type, v_billed), v_count::integer);
    v_priced.unit_cost := COALESCE(round(v_priced.total_cost / NULLIF(v_priced.billed_quantity, 0), 10), 0);
    RETURN v_priced;
END;
$$;

COMMENT ON FUNCTION billing.quote_measured IS
'price_or_raise, and for a price of the whole period what p_quantity (seconds for minutes) adds to it: f(so far and this) -
f(so far), unit_cost its average. Raises UB001, UB002, UB003.';
