-- report: what a plan adds to the usage of a billing period, or takes off it.
CREATE OR REPLACE FUNCTION billing.price_plan_terms(
    p_plan_id bigint,
    p_currency text,
    p_period_start date,
    p_is_over boolean,
    p_usage billing.period_charge[],
    p_decimals integer DEFAULT 10
)
RETURNS SETOF billing.period_charge
LANGUAGE sql
STABLE
AS $$
    WITH included AS (
        SELECT
            a.channel, a.resource_type, a.unit_value, LEAST(billing.in_seconds(a.resource_type, a.quantity), u.billed) AS billed,
            u.amount
        FROM (
            SELECT DISTINCT ON (x.channel, x.resource_type) x.*
            FROM billing.plan_allowances AS x
            INNER JOIN billing.pricing_plans AS p ON p.id = x.plan_id AND p.currency = p_currency
            WHERE x.plan_id = p_plan_id
                AND x.effective_from <= p_period_start
            ORDER BY x.channel, x.resource_type, x.effective_from DESC
        ) AS a
        INNER JOIN (
            SELECT channel, resource_type, sum(billed) AS billed, sum(round(amount, p_decimals)) AS amount
            FROM unnest(p_usage)
            GROUP BY channel, resource_type
        ) AS u USING (channel, resource_type)
        WHERE u.billed > 0
    ),
    credited AS (
        SELECT
            channel, resource_type, unit_value, billed,
            LEAST(amount, round(billing.in_units(resource_type, billed) * unit_value, p_decimals)) AS amount
        FROM included
    ),
    spent AS (
        SELECT
            COALESCE((SELECT sum(round(amount, p_decimals)) FROM unnest(p_usage)), 0)
            - COALESCE((SELECT sum(amount) FROM credited WHERE amount > 0), 0) AS amount
    )
    SELECT
        'credit', channel, resource_type, NULL::bigint, unit_value,
        trim_scale(round(billing.in_units(resource_type, billed), 20)), billed, NULL::bigint, -amount
    FROM credited
    WHERE amount > 0
    UNION ALL
    SELECT 'adjustment', NULL, NULL, NULL, NULL, 1, NULL, NULL, limited.amount - spent.amount
    FROM spent
    INNER JOIN billing.pricing_plans AS p ON p.id = p_plan_id AND p.currency = p_currency
    CROSS JOIN LATERAL (
        -- GREATEST and LEAST pass over what is NULL: no limit.
        SELECT LEAST(GREATEST(spent.amount, CASE WHEN p_is_over THEN p.minimum_spend END), p.maximum_spend)
    ) AS limited (amount)
    WHERE limited.amount <> spent.amount;
$$;

COMMENT ON FUNCTION billing.price_plan_terms IS
'The lines that plan p_plan_id adds to p_usage, the usage of one billing period: a credit for each allowance (units
included, at their value, at most what the usage costs) and an adjustment to the minimum spend, once the period is
over, or to the maximum. p_decimals: digits to which each usage line counts, those of the currency for an invoice. A
plan in another currency than the tenant''s adds nothing.';
