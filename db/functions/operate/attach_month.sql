-- operate: brings a detached month back.
CREATE OR REPLACE FUNCTION billing.attach_month(p_month date)
RETURNS text
LANGUAGE plpgsql
-- Writers of all months queue behind the lock that this waits for.
SET lock_timeout = '2s'
AS $$
DECLARE
    v_month date := billing.month_of(p_month);
    v_until date := (v_month + interval '1 month')::date;
    v_detached billing.detached_months;
BEGIN
    PERFORM billing.refuse_loading(p_month);
    SELECT * INTO v_detached FROM billing.detached_months WHERE month = v_month FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such month'
            USING ERRCODE = 'UB012',
                DETAIL = format('The month %s is not detached.', to_char(v_month, 'YYYY-MM')),
                HINT = 'billing.detached_months lists what can be attached.';
    ELSIF v_detached.dropped_at IS NOT NULL THEN
        RAISE EXCEPTION 'the records of this month are not in the database'
            USING ERRCODE = 'UB006',
                DETAIL = billing.describe_detached(v_month),
                HINT = 'irisx-usage restore FILE brings an archived month back.';
    END IF;
    DELETE FROM billing.detached_months WHERE month = v_month;
    -- Found to be of the month before anybody has to wait for that: attaching looks no further then.
    EXECUTE format(
        'ALTER TABLE billing.%I ADD CONSTRAINT of_its_month
            CHECK (usage_date IS NOT NULL AND usage_date >= %L::date AND usage_date < %L::date)',
        v_detached.table_name, v_month, v_until
    );
    EXECUTE format(
        'ALTER TABLE billing.usage_records ATTACH PARTITION billing.%I FOR VALUES FROM (%L) TO (%L)',
        v_detached.table_name, v_month, v_until
    );
    EXECUTE format('ALTER TABLE billing.%I DROP CONSTRAINT of_its_month', v_detached.table_name);
    RETURN 'billing.' || v_detached.table_name;
END;
$$;

COMMENT ON FUNCTION billing.attach_month IS
'Attaches the month that detach_month took out; its table. Reads that table once; others wait for the attaching only. Raises
UB006 (its table was dropped), UB012.';
