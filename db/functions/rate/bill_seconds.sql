-- rate: seconds rounded up to billing increments.
CREATE OR REPLACE FUNCTION billing.bill_seconds(
    p_seconds numeric,
    p_initial_increment numeric,
    p_billing_increment numeric
)
RETURNS numeric
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN p_seconds = 0 THEN 0
        WHEN p_seconds <= p_initial_increment THEN p_initial_increment
        WHEN p_billing_increment = 0 THEN p_seconds
        WHEN p_billing_increment = 1 AND scale(p_seconds) = 0 AND scale(p_initial_increment) = 0 THEN p_seconds
        ELSE p_initial_increment + p_billing_increment * (
            div(p_seconds - p_initial_increment, p_billing_increment)
            + CASE WHEN mod(p_seconds - p_initial_increment, p_billing_increment) > 0 THEN 1 ELSE 0 END
        )
    END;
$$;

COMMENT ON FUNCTION billing.bill_seconds IS
'p_seconds as billed: none for 0, at least the initial increment, and what is beyond it in whole billing increments
(30/18 and 40 s is 48 s). An increment of 0 rounds nothing. Exact: div and mod, since ceil of a quotient is not.';
