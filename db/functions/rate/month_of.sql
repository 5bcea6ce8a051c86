-- rate: the month of a day.
CREATE OR REPLACE FUNCTION billing.month_of(p_day date)
RETURNS date
LANGUAGE sql
IMMUTABLE
STRICT
PARALLEL SAFE
AS $$
    SELECT CASE WHEN p_day BETWEEN '0001-01-01' AND '9999-12-31' THEN date_trunc('month', p_day::timestamp)::date END;
$$;

COMMENT ON FUNCTION billing.month_of IS
'First day of the month of p_day; NULL before the year 1 and after 9999, where there are no months of ours.';
