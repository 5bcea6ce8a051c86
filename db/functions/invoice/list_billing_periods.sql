-- invoice: the billing periods that some days touch.
CREATE OR REPLACE FUNCTION billing.list_billing_periods(p_billing_cycle_day integer, p_from date, p_to date)
RETURNS TABLE (period_start date, period_end date)
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
ROWS 2
AS $$
    -- One period begins in each month; the one that holds p_from may have begun in the month before.
    SELECT p.period_start, p.period_end
    FROM generate_series(
        date_trunc('month', p_from::timestamp) - interval '1 month', p_to::timestamp, interval '1 month'
    ) AS m (month)
    CROSS JOIN LATERAL (
        SELECT billing.period_starting_by((m.month + interval '1 month' - interval '1 day')::date, p_billing_cycle_day)
    ) AS s (period_start)
    CROSS JOIN LATERAL (
        SELECT s.period_start, billing.period_starting_by(s.period_start + 32, p_billing_cycle_day) - 1
    ) AS p (period_start, period_end)
    WHERE p.period_start <= p_to
        AND p.period_end >= p_from;
$$;

COMMENT ON FUNCTION billing.list_billing_periods IS
'First and last day (both included) of each billing period, by p_billing_cycle_day, that holds a day from p_from to p_to.';
