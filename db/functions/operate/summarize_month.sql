-- operate: what a month's table holds, exactly.
CREATE OR REPLACE FUNCTION billing.summarize_month(p_month date)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_month date := billing.month_of(p_month);
    v_detached billing.detached_months;
    v_sums jsonb;
BEGIN
    PERFORM billing.refuse_loading(p_month);
    SELECT * INTO v_detached FROM billing.detached_months WHERE month = v_month AND dropped_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such month'
            USING ERRCODE = 'UB012',
                DETAIL = format('There is no table of detached month %s.', to_char(v_month, 'YYYY-MM')),
                HINT = 'billing.detached_months lists those that there are.';
    END IF;
    EXECUTE format(
        $query$
        SELECT COALESCE(jsonb_agg(
            jsonb_build_object(
                'currency', s.currency, 'channel', s.channel, 'resource_type', s.resource_type, 'records', s.records,
                -- As text: a program that reads JSON may take numbers for binary fractions.
                'quantity', s.quantity::text, 'billed_quantity', s.billed_quantity::text, 'total_cost', s.total_cost::text
            )
            ORDER BY s.currency, s.channel, s.resource_type
        ), '[]')
        FROM (
            SELECT
                r.currency, r.channel, r.resource_type, count(*) AS records, trim_scale(sum(r.quantity)) AS quantity,
                trim_scale(sum(r.billed_quantity)) AS billed_quantity, trim_scale(sum(r.total_cost)) AS total_cost
            FROM billing.%I AS r
            GROUP BY r.currency, r.channel, r.resource_type
        ) AS s
        $query$,
        v_detached.table_name
    ) INTO v_sums;
    RETURN jsonb_build_object(
        'month', to_char(v_month, 'YYYY-MM'),
        'detached_at', v_detached.detached_at,
        'schema_version', (
            SELECT max(substring(f.path FROM 'migrations/([0-9]+)')) FROM billing.deployed_files AS f
        ),
        'columns', (
            SELECT jsonb_agg(a.attname ORDER BY a.attnum)
            FROM pg_attribute AS a
            WHERE a.attrelid = format('billing.%I', v_detached.table_name)::regclass
                AND a.attnum > 0
                AND NOT a.attisdropped
        ),
        'rows', (SELECT COALESCE(sum((s ->> 'records')::bigint), 0) FROM jsonb_array_elements(v_sums) AS s),
        'sums', v_sums
    );
END;
$$;

COMMENT ON FUNCTION billing.summarize_month IS
'For the table of detached month p_month: its columns and rows, exact sums per currency, channel and resource_type, when it
was detached, and the last migration. What irisx-usage archive and restore compare a file with. Reads the table once. Raises
UB012.';
