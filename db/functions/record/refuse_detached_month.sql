-- record: trigger on the default partition; keeps usage out of months that were taken away.
CREATE OR REPLACE FUNCTION billing.refuse_detached_month()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM billing.detached_months WHERE month = date_trunc('month', NEW.usage_date)::date
    ) THEN
        RAISE EXCEPTION 'the month of this usage was detached'
            USING ERRCODE = 'UB006',
                DETAIL = format('Usage of %s belongs to a month whose records are not in usage_records.', NEW.usage_date),
                HINT = 'Attach the month again with billing.attach_month, then retry.';
    END IF;
    RETURN NEW;
END;
$$;

COMMENT ON FUNCTION billing.refuse_detached_month IS
'Refuses (UB006) usage of a detached month, since nobody can see whether it is billed already. From a trigger the usage
is set aside and can be retried once the month is back.';
