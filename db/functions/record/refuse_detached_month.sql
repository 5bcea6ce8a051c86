-- record: trigger on the default partition; keeps usage out of months that were taken away.
CREATE OR REPLACE FUNCTION billing.refuse_detached_month()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_month date := date_trunc('month', NEW.usage_date)::date;
BEGIN
    IF EXISTS (SELECT FROM billing.detached_months WHERE month = v_month) THEN
        RAISE EXCEPTION 'the month of this usage was detached'
            USING ERRCODE = 'UB006',
                DETAIL = format('Usage of %s belongs to a month whose records are not in usage_records.', NEW.usage_date),
                HINT = 'Attach the month again with billing.attach_month, then retry.';
    END IF;
    -- An old snapshot does not see that its records are gone, and would record all of it once more. The key does: this fails as a
    -- serialization failure then, and else is taken back. Once a month is enough: it is not detached while somebody writes.
    IF current_setting('transaction_isolation') <> 'read committed'
        AND strpos(COALESCE(current_setting('billing.months_asked', true), ''), to_char(v_month, 'YYYY-MM')) = 0
    THEN
        BEGIN
            INSERT INTO billing.detached_months (month, table_name) VALUES (v_month, '') ON CONFLICT (month) DO NOTHING;
            RAISE no_data_found;
        EXCEPTION
            WHEN no_data_found THEN
                NULL;
        END;
        PERFORM set_config(
            'billing.months_asked', concat_ws(' ', current_setting('billing.months_asked', true), to_char(v_month, 'YYYY-MM')), true
        );
    END IF;
    RETURN NEW;
END;
$$;

COMMENT ON FUNCTION billing.refuse_detached_month IS
'Refuses (UB006) usage of a detached month, since nobody can see whether it is billed already. From a trigger the usage
is set aside and can be retried once the month is back. In a snapshot from before it was detached: a serialization failure.';
