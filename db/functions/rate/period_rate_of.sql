-- rate: the rate by which a record counts for its period, if any.
CREATE OR REPLACE FUNCTION billing.period_rate_of(p_rate_id bigint)
RETURNS bigint
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT COALESCE((
        SELECT r.id
        FROM billing.pricing_rates AS r
        WHERE r.id = p_rate_id
            AND billing.is_period_priced(r.charge_model)
    ), 0);
$$;

COMMENT ON FUNCTION billing.period_rate_of IS
'p_rate_id where it prices the whole quantity of a period, else 0: the rate_id of the daily sums.';
