-- invoice: the usage lines of a billing period: one for each price, never an average of two.
CREATE OR REPLACE FUNCTION billing.list_invoice_usage(
    p_tenant_id bigint,
    p_from date,
    p_to date,
    p_at timestamptz
)
RETURNS SETOF billing.period_charge
LANGUAGE sql
STABLE
AS $$
    SELECT
        'usage', u.channel, u.resource_type, NULL::bigint, u.unit_cost, sum(u.quantity),
        sum(billing.in_seconds(u.resource_type, u.billed_quantity)),
        sum(CASE u.kind WHEN 'charge' THEN 1 ELSE -1 END), sum(u.total_cost)
    FROM billing.usage_records AS u
    INNER JOIN billing.pricing_rates AS r ON r.id = u.rate_id
    WHERE u.tenant_id = p_tenant_id
        AND u.usage_date BETWEEN p_from AND p_to
        AND NOT billing.is_period_priced(r.charge_model)
    -- The prefixes of a deck with the same price share a line; a price that changed has one of its own.
    GROUP BY
        u.channel, u.resource_type, u.unit_cost, r.initial_increment, r.billing_increment, r.connection_fee,
        r.minimum_charge, r.charge_model, r.terms, r.calendar_id
    HAVING sum(u.quantity) <> 0 OR sum(u.total_cost) <> 0
    UNION ALL
    SELECT *
    FROM billing.list_period_usage(p_tenant_id, p_from, p_to, p_at) AS p
    WHERE p.rate_id IS NOT NULL
        AND (p.quantity <> 0 OR p.amount <> 0)
    ORDER BY 2, 3, 5, 4;
$$;

COMMENT ON FUNCTION billing.list_invoice_usage IS
'The usage of p_tenant_id from p_from to p_to, days of one billing period, a line for each channel, resource and price
(unit price, increments, fees, terms); prices of the whole period as list_period_usage has them. Exact: the invoice
rounds each line once.';
