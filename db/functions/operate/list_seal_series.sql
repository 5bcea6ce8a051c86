-- operate: what is sealed.
CREATE OR REPLACE FUNCTION billing.list_seal_series()
RETURNS TABLE (series text, month date, table_name regclass)
LANGUAGE sql
STABLE
AS $$
    SELECT t.name, NULL::date, format('billing.%I', t.name)::regclass
    FROM unnest('{audit_log,credit_entries}'::text[]) AS t (name)
    UNION ALL
    -- Attached months. What has no month of its own yet is sealed when it gets one.
    SELECT
        'usage_records ' || to_char(m.month, 'YYYY-MM'), m.month, m.table_name
    FROM (
        SELECT i.inhrelid::regclass AS table_name, to_date(substring(c.relname FROM '[0-9]+_[0-9]+$'), 'YYYY_MM') AS month
        FROM pg_inherits AS i
        INNER JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'billing.usage_records'::regclass
            AND c.relname ~ '^usage_records_[0-9]{4,}_[0-9]{2}$'
    ) AS m;
$$;

COMMENT ON FUNCTION billing.list_seal_series IS
'The series of seals, each of a table: the audit log, entries of credit, and each attached month of usage records.';
