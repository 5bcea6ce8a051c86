-- rate: another quantity at a price already recorded.
CREATE OR REPLACE FUNCTION billing.reprice_usage(p_rate_id bigint, p_resource_type text, p_quantity numeric)
RETURNS billing.priced_usage
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT (
        NULL, r.id, r.currency, NULL, trim_scale(p_quantity / b.per), trim_scale(b.billed / b.per), r.unit_price,
        billing.cost_per_unit(b.billed, b.per, r.unit_price, r.connection_fee, r.minimum_charge)
    )::billing.priced_usage
    FROM billing.pricing_rates AS r
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN p_resource_type = 'minute' THEN 60 ELSE 1 END::numeric AS per,
            CASE
                WHEN p_resource_type = 'minute'
                    THEN billing.bill_seconds(p_quantity, r.initial_increment, r.billing_increment)
                ELSE p_quantity
            END AS billed
    ) AS b
    WHERE r.id = p_rate_id;
$$;

COMMENT ON FUNCTION billing.reprice_usage IS
'What p_quantity (seconds for minutes, else units) costs at rate p_rate_id, whether it is still in force or not.
usage_date is left NULL: the caller has it.';
