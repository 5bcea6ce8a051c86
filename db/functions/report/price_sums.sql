-- report: what sums of usage cost in a billing period, and the fees that some prices ask for without usage.
CREATE OR REPLACE FUNCTION billing.price_sums(
    p_cards bigint[],
    p_currency text,
    p_at timestamptz,
    p_sums billing.period_charge[]
)
RETURNS SETOF billing.period_charge
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
-- Its plan is a few index probes whatever the values, and takes longer to make than to run.
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    -- What was taken back in full leaves nothing: a rate that nothing is billed by any more asks for no fee.
    RETURN QUERY
    WITH used AS (
        SELECT *
        FROM unnest(p_sums)
        WHERE record_count <> 0
            OR quantity <> 0
            OR billed <> 0
            OR amount <> 0
    )
    SELECT
        'usage', u.channel, u.resource_type, r.id, u.unit_price, u.quantity, u.billed, u.record_count,
        CASE
            WHEN r.id IS NULL THEN u.amount
            ELSE billing.apply_terms(
                r.charge_model, r.terms, billing.in_units(u.resource_type, u.billed),
                LEAST(u.record_count, 2147483647)::integer
            )
        END
    FROM used AS u
    LEFT JOIN billing.pricing_rates AS r ON r.id = u.rate_id
    UNION ALL
    -- A price with a fee at zero is owed by a tenant who used nothing, too.
    SELECT
        'usage', r.channel, r.resource_type, r.id, NULL, 0, 0, 0, billing.apply_terms(r.charge_model, r.terms, 0, 0)
    FROM (
        -- OFFSET 0 keeps the planner to pricing_rates_period_priced_idx, which has no deck in it.
        SELECT *
        FROM billing.pricing_rates AS x
        WHERE x.card = ANY (p_cards)
            AND x.charge_model NOT IN ('per_unit', 'stepped')
        OFFSET 0
    ) AS r
    WHERE r.is_active
        AND r.effective_from <= p_at
        AND (r.effective_until IS NULL OR r.effective_until > p_at)
        AND billing.apply_terms(r.charge_model, r.terms, 0, 0) <> 0
        AND EXISTS (
            SELECT
            FROM billing.find_price(p_cards, r.channel, r.resource_type, r.prefix, p_at, p_currency) AS f
            WHERE f.rate_id = r.id
        )
        AND NOT EXISTS (SELECT FROM used AS u WHERE u.rate_id = r.id);
END;
$$;

COMMENT ON FUNCTION billing.price_sums IS
'The usage lines of a billing period from its sums (p_sums: quantity, billed and record_count; amount where rate_id is
NULL, else the price of the whole quantity by that rate), and a line for each price on p_cards, in p_currency and in force
at p_at, that asks for a fee without usage. Exact, major units of p_currency.';
