-- invoice: refuses to go on without the records of a month.
CREATE OR REPLACE FUNCTION billing.require_attached_months(p_from date, p_to date)
RETURNS void
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_month date := (
        SELECT min(d.month)
        FROM billing.detached_months AS d
        WHERE d.month <= p_to
            AND d.month + interval '1 month' > p_from
    );
BEGIN
    IF v_month IS NOT NULL THEN
        RAISE EXCEPTION 'usage of these days was taken out of usage_records'
            USING ERRCODE = 'UB006',
                DETAIL = billing.describe_detached(v_month),
                HINT = 'Bring it back with billing.attach_month, or irisx-usage restore FILE where it is archived.';
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.require_attached_months IS
'Raises UB006 when the records of a day from p_from to p_to (both included) were taken out of usage_records.';
