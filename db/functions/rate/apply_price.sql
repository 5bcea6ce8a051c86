-- rate: what a quantity costs by a price already found. Inlined into the statements that price many records.
CREATE OR REPLACE FUNCTION billing.apply_price(
    p_rate_id bigint,
    p_unit_price numeric,
    p_initial_increment numeric,
    p_billing_increment numeric,
    p_connection_fee numeric,
    p_minimum_charge numeric,
    p_by_terms boolean,
    p_resource_type text,
    p_measured numeric,
    p_at timestamptz
)
RETURNS TABLE (billed_quantity numeric, total_cost numeric, period_rate_id bigint)
LANGUAGE sql
STABLE
PARALLEL SAFE
ROWS 1
AS $$
    SELECT
        CASE WHEN b.per = 1 THEN b.billed ELSE trim_scale(b.billed / b.per) END,
        CASE
            WHEN p_by_terms THEN b.terms[2]
            ELSE billing.cost_per_unit(b.billed, b.per, p_unit_price, p_connection_fee, p_minimum_charge)
        END,
        b.terms[3]::bigint
    FROM (
        SELECT
            t.*,
            CASE
                WHEN p_by_terms THEN t.terms[1]
                WHEN p_resource_type = 'minute'
                    THEN billing.bill_seconds(p_measured, p_initial_increment, p_billing_increment)
                ELSE p_measured
            END AS billed
        FROM (
            SELECT
                CASE WHEN p_resource_type = 'minute' THEN 60::numeric ELSE 1::numeric END AS per,
                -- In a CASE, so that the prices which their columns tell (most) cost no call.
                CASE WHEN p_by_terms THEN (
                    SELECT ARRAY[x.billed, x.total_cost, x.period_rate_id]
                    FROM billing.price_by_terms(p_rate_id, p_resource_type, p_measured, p_at) AS x
                ) END AS terms
            -- Computed once for each row, not once for each use.
            OFFSET 0
        ) AS t
        OFFSET 0
    ) AS b;
$$;

COMMENT ON FUNCTION billing.apply_price IS
'What p_measured (seconds for minutes, else units) costs at p_at by a price as resolved_prices has it, as price_usage
prices it. billed_quantity in units of the resource, total_cost in major units of the rate''s currency. period_rate_id:
p_rate_id where the price is of a period''s whole quantity (total_cost is then 0), else NULL.';
