-- record: where the records of a detached month are.
CREATE OR REPLACE FUNCTION billing.describe_detached(p_month date)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT CASE
        WHEN d.dropped_at IS NULL THEN format('The month %s is detached: its records are in billing.%I.',
            to_char(d.month, 'YYYY-MM'), d.table_name)
        WHEN a.sha256 IS NULL THEN format('The month %s was dropped on %s.', to_char(d.month, 'YYYY-MM'), d.dropped_at::date)
        ELSE format('The month %s is archived: its records are in the file %s.',
            to_char(d.month, 'YYYY-MM'), a.manifest ->> 'file')
    END
    FROM billing.detached_months AS d
    LEFT JOIN billing.archives AS a
        ON a.month = d.month
        AND a.restored_at IS NULL
    WHERE d.month = date_trunc('month', p_month::timestamp)::date;
$$;

COMMENT ON FUNCTION billing.describe_detached IS
'A sentence that says where the records of detached month p_month are: in a table, in a file, nowhere. NULL: not detached.';
