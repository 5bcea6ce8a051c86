-- invoice: refuses to go on without the records of a month.
CREATE OR REPLACE FUNCTION billing.require_attached_months(p_from date, p_to date)
RETURNS void
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM billing.detached_months AS d
        WHERE d.month <= p_to
            AND d.month + interval '1 month' > p_from
    ) THEN
        RAISE EXCEPTION 'usage of these days was detached'
            USING ERRCODE = 'UB006',
                DETAIL = format('billing.detached_months holds a month of the days %s to %s.', p_from, p_to),
                HINT = 'Attach the month again with billing.attach_month.';
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.require_attached_months IS
'Raises UB006 when the records of a day from p_from to p_to (both included) were taken out of usage_records.';
