-- report: the first day of the billing period that holds a day.
CREATE OR REPLACE FUNCTION billing.period_starting_by(p_day date, p_billing_cycle_day integer)
RETURNS date
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT max(first_day)
    FROM (
        SELECT LEAST(
            month + (p_billing_cycle_day - 1),
            (month + interval '1 month' - interval '1 day')::date
        ) AS first_day
        FROM (VALUES
            (date_trunc('month', p_day::timestamp)::date),
            ((date_trunc('month', p_day::timestamp) - interval '1 month')::date)
        ) AS months (month)
    ) AS candidates
    WHERE first_day <= p_day;
$$;

COMMENT ON FUNCTION billing.period_starting_by IS
'The latest start of a billing period not after p_day. A period starts on p_billing_cycle_day (1 to 31) of each month,
on the month''s last day where the month is shorter.';
