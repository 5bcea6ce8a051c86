-- report: why a quantity would cost what quote says.
CREATE OR REPLACE FUNCTION billing.explain_quote(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_quantity numeric,
    p_destination text DEFAULT NULL,
    p_at timestamptz DEFAULT now()
)
RETURNS TABLE (step integer, subject text, detail text, amount numeric)
LANGUAGE sql
STABLE
AS $$
    SELECT *
    FROM billing.explain_quote_measured(
        p_tenant_id, p_channel, p_resource_type,
        CASE WHEN p_resource_type = 'minute' THEN p_quantity * 60 ELSE p_quantity END,
        p_destination, p_at
    );
$$;

COMMENT ON FUNCTION billing.explain_quote IS
'Why p_quantity (in units of the resource: minutes, messages) would cost p_tenant_id at p_at what billing.quote says: tenant
and day, cards and prefix, rate, increments, bands, steps or tiers, fees, roundings, in rows to be read in order. amount:
what a row adds, NULL where it is no amount; the last is their sum, the quote''s total_cost. Major units of the tenant''s
currency. Raises UB001, UB002, UB003.';
