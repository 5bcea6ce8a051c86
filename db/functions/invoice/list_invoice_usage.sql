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
        'usage', s.channel, s.resource_type, min(s.rate_id), s.unit_cost, sum(s.quantity), sum(s.billed),
        sum(s.record_count)::bigint, sum(s.total_cost)
    FROM billing.price_sums_by_day AS s
    INNER JOIN billing.pricing_rates AS r ON r.id = s.rate_id
    WHERE s.tenant_id = p_tenant_id
        AND s.usage_date BETWEEN p_from AND p_to
        AND NOT billing.is_period_priced(r.charge_model)
    -- The prefixes of a deck with the same price share a line; a price that changed has one of its own.
    GROUP BY
        s.channel, s.resource_type, s.unit_cost, r.initial_increment, r.billing_increment, r.connection_fee,
        r.minimum_charge, r.charge_model, r.terms, r.calendar_id
    HAVING sum(s.quantity) <> 0 OR sum(s.total_cost) <> 0
    UNION ALL
    SELECT p.*
    FROM (
        SELECT t.cards, t.currency
        FROM billing.tenant_terms AS t
        WHERE t.tenant_id = p_tenant_id
            AND t.valid_from <= p_at
        ORDER BY t.valid_from DESC
        LIMIT 1
    ) AS t
    CROSS JOIN LATERAL billing.price_sums(t.cards, t.currency, p_at, ARRAY(
        SELECT (
            'usage', s.channel, s.resource_type, s.rate_id, NULL, sum(s.quantity), sum(s.billed), sum(s.record_count), 0
        )::billing.period_charge
        FROM billing.price_sums_by_day AS s
        INNER JOIN billing.pricing_rates AS r ON r.id = s.rate_id
        WHERE s.tenant_id = p_tenant_id
            AND s.usage_date BETWEEN p_from AND p_to
            AND billing.is_period_priced(r.charge_model)
        GROUP BY s.channel, s.resource_type, s.rate_id
    )) AS p
    WHERE p.quantity <> 0
        OR p.amount <> 0
    ORDER BY 2, 3, 5, 4;
$$;

COMMENT ON FUNCTION billing.list_invoice_usage IS
'The usage of p_tenant_id from p_from to p_to, days of one billing period, a line for each channel, resource and price
(unit price, increments, fees, terms); rate_id is the price, of equal ones the first. As price_sums_by_day has it: see
add_up_prices. Exact: the invoice rounds each line once.';
