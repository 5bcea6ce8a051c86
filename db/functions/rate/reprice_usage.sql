-- rate: another quantity at a price already recorded.
CREATE OR REPLACE FUNCTION billing.reprice_usage(
    p_rate_id bigint,
    p_resource_type text,
    p_quantity numeric,
    p_at timestamptz
)
RETURNS billing.priced_usage
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT (
        NULL, r.id, r.currency, NULL, trim_scale(p_quantity / per), trim_scale(COALESCE(t.billed, b.billed) / per),
        r.unit_price,
        COALESCE(
            t.total_cost,
            billing.cost_per_unit(b.billed, per, r.unit_price, r.connection_fee, r.minimum_charge)
        ),
        t.period_rate_id
    )::billing.priced_usage
    FROM billing.pricing_rates AS r
    CROSS JOIN LATERAL (SELECT CASE WHEN p_resource_type = 'minute' THEN 60 ELSE 1 END::numeric) AS p (per)
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN p_resource_type = 'minute'
                THEN billing.bill_seconds(p_quantity, r.initial_increment, r.billing_increment)
            ELSE p_quantity
        END
    ) AS b (billed)
    CROSS JOIN LATERAL billing.price_by_terms(
        CASE WHEN billing.is_by_terms(r.charge_model, r.terms) THEN r.id END, p_resource_type, p_quantity, p_at
    ) AS t
    WHERE r.id = p_rate_id;
$$;

COMMENT ON FUNCTION billing.reprice_usage IS
'What p_quantity (seconds for minutes, else units) costs at p_at by rate p_rate_id, whether it is still in force or not.
usage_date is left NULL: the caller has it.';
