-- report: what a call would cost, without making it.
CREATE OR REPLACE FUNCTION billing.quote_call(
    p_tenant_id bigint,
    p_to_number text,
    p_seconds numeric,
    p_at timestamptz DEFAULT now()
)
RETURNS TABLE (
    rate_id bigint,
    billed_quantity numeric,
    unit_cost numeric,
    total_cost numeric,
    currency text,
    billed_seconds numeric
)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_priced billing.priced_usage := billing.quote_measured(
        p_tenant_id, 'voice', 'minute', p_seconds, p_to_number, p_at
    );
BEGIN
    RETURN QUERY
    SELECT v_priced.rate_id, v_priced.billed_quantity, v_priced.unit_cost, v_priced.total_cost, v_priced.currency,
        trim_scale(round(v_priced.billed_quantity * 60, 10));
END;
$$;

COMMENT ON FUNCTION billing.quote_call IS
'What a call of p_seconds to p_to_number (E.164, with or without +) would cost p_tenant_id at p_at, and the seconds
billed after increments. Raises UB001, UB002, UB003.';
