-- operate: brings a detached month back.
CREATE OR REPLACE FUNCTION billing.attach_month(p_month date)
RETURNS text
LANGUAGE plpgsql
-- Writers of all months queue behind the lock that this waits for.
SET lock_timeout = '2s'
AS $$
DECLARE
    v_month date := date_trunc('month', p_month::timestamp)::date;
    v_name text;
BEGIN
    DELETE FROM billing.detached_months WHERE month = v_month RETURNING table_name INTO v_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such month'
            USING ERRCODE = 'UB012',
                DETAIL = format('The month %s is not detached.', to_char(v_month, 'YYYY-MM')),
                HINT = 'billing.detached_months lists what can be attached.';
    END IF;
    EXECUTE format(
        'ALTER TABLE billing.usage_records ATTACH PARTITION billing.%I FOR VALUES FROM (%L) TO (%L)',
        v_name, v_month, (v_month + interval '1 month')::date
    );
    RETURN 'billing.' || v_name;
END;
$$;

COMMENT ON FUNCTION billing.attach_month IS 'Attaches the month that detach_month took out; its table. Raises UB012.';
