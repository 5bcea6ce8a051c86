-- operate: takes a month of records out of usage_records, in constant time.
CREATE OR REPLACE FUNCTION billing.detach_month(p_month date)
RETURNS text
LANGUAGE plpgsql
-- Writers of all months queue behind the lock that this waits for.
SET lock_timeout = '2s'
AS $$
DECLARE
    v_month date := billing.month_of(p_month);
    v_name text := format('usage_records_%s', to_char(v_month, 'YYYY_MM'));
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM pg_inherits
        WHERE inhparent = 'billing.usage_records'::regclass
            AND inhrelid = to_regclass('billing.' || v_name)
    ) THEN
        RAISE EXCEPTION 'no such month'
            USING ERRCODE = 'UB012',
                DETAIL = format('billing.usage_records has no partition %s.', v_name),
                HINT = 'A month that is detached already stands in billing.detached_months.';
    END IF;
    EXECUTE format('ALTER TABLE billing.usage_records DETACH PARTITION billing.%I', v_name);
    EXECUTE format(
        'INSERT INTO billing.detached_months (month, table_name, source_ids)
        SELECT $1, $2, CASE WHEN min(r.source_id) IS NULL THEN ''empty'' ELSE numrange(min(r.source_id), max(r.source_id), ''[]'') END
        FROM billing.%I AS r',
        v_name
    ) USING v_month, v_name;
    RETURN 'billing.' || v_name;
END;
$$;

COMMENT ON FUNCTION billing.detach_month IS
'Detaches the partition of p_month, which becomes a table of its own; its name. Daily sums stay. Usage of that month
that still comes in is set aside (UB006) until the month is attached again. Raises UB012.';
