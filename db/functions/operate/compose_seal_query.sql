-- operate: the statement that reads what is sealed.
CREATE OR REPLACE FUNCTION billing.compose_seal_query(p_series text)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    -- The cuts grow with time: the first one whose last number is not below a record's is nearly always the one. Where its
    -- transaction had not ended by then, a later one is.
    SELECT format(
        $query$
        WITH cuts AS MATERIALIZED (
            SELECT c.*
            FROM unnest($1) WITH ORDINALITY AS c (last_record_id, snapshot, xact, number)
        )
        SELECT
            r.id, r.xact,
            CASE
                WHEN COALESCE(billing.covers((c.last_record_id, c.snapshot, c.xact)::billing.usage_cut, r.id, r.xact), false) THEN c.number
                WHEN c.number IS NOT NULL THEN (
                    SELECT min(later.number)
                    FROM cuts AS later
                    WHERE later.number > c.number
                        AND billing.covers((later.last_record_id, later.snapshot, later.xact)::billing.usage_cut, r.id, r.xact)
                )
            END AS number,
            ROW(%1$s) AS content
        FROM billing.%2$I AS r
        LEFT JOIN cuts AS c ON c.number = width_bucket(r.id - 1, (SELECT array_agg(x.last_record_id ORDER BY x.number) FROM cuts AS x)) + 1
        WHERE %3$s
        $query$,
        CASE s.table_name
            -- Not what forget_subject may change: destination, resource_id, metadata.
            WHEN 'usage_records' THEN
                'r.id, r.tenant_id, r.source_table, r.source_id, r.part, r.revision, r.kind, r.rate_id, r.channel, r.resource_type, '
                'r.quantity, r.seconds, r.billed_quantity, r.unit_cost, r.total_cost, r.currency, r.occurred_at, '
                'r.usage_date, r.created_at, r.xact'
            WHEN 'credit_entries' THEN
                'r.id, r.tenant_id, r.amount, r.kind, r.reference, r.priority, r.valid_from, r.expires_at, r.lot_id, r.created_at, r.xact'
            WHEN 'audit_log' THEN
                'r.id, r.at, r.login, r.role, r.application, r.client, r.xact, r.action, r.via, r.object, r.key, r.tenant_id, '
                'r.row_count, r.old_values, r.new_values, r.reason'
        END,
        s.table_name,
        -- As constants: other months are not even locked.
        CASE WHEN s.month IS NULL THEN 'true'
            ELSE format('r.usage_date >= %L::date AND r.usage_date < %L::date', s.month, (s.month + interval '1 month')::date)
        END
    )
    FROM (
        SELECT split_part(p_series, ' ', 1) AS table_name, to_date(NULLIF(split_part(p_series, ' ', 2), ''), 'YYYY-MM') AS month
    ) AS s;
$$;

COMMENT ON FUNCTION billing.compose_seal_query IS
'A query of the records of a series (as seals.series) whose $1 are the cuts of its seals in their order, usage_cut[]: number is
the first of them that covers the record (NULL: none), content what is sealed of it. Text depends on TimeZone and DateStyle.';
