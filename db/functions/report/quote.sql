-- report: what a quantity would cost, without recording it.
CREATE OR REPLACE FUNCTION billing.quote(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_quantity numeric,
    p_destination text DEFAULT NULL,
    p_at timestamptz DEFAULT now()
)
RETURNS TABLE (rate_id bigint, billed_quantity numeric, unit_cost numeric, total_cost numeric, currency text)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_priced billing.priced_usage := billing.quote_measured(
        p_tenant_id, p_channel, p_resource_type,
        CASE WHEN p_resource_type = 'minute' THEN p_quantity * 60 ELSE p_quantity END,
        p_destination, p_at
    );
BEGIN
    RETURN QUERY SELECT v_priced.rate_id, v_priced.billed_quantity, v_priced.unit_cost, v_priced.total_cost, v_priced.currency;
END;
$$;

COMMENT ON FUNCTION billing.quote IS
'What p_quantity (in units of the resource: minutes, messages) would cost p_tenant_id at p_at. billed_quantity is after
billing increments. By a price of the whole period (tiers, packages): what it would add to the period so far, and
unit_cost is the average. Raises UB001, UB002, UB003.';
