-- record: the charges that stand for a row now.
CREATE OR REPLACE FUNCTION billing.find_open_charges(
    p_source_table text,
    p_source_id bigint,
    p_measured billing.measurement[]
)
RETURNS billing.usage_records[]
LANGUAGE sql
STABLE
AS $$
    SELECT ARRAY(
        SELECT o
        FROM (
            SELECT DISTINCT ON (r.part, r.tenant_id, r.usage_date) r AS o
            FROM billing.usage_records AS r
            WHERE r.source_table = p_source_table
                AND r.source_id = p_source_id
            ORDER BY r.part, r.tenant_id, r.usage_date, r.revision DESC
        ) AS last
        WHERE (o).kind = 'charge'
        UNION ALL
        SELECT r
        FROM (
            SELECT DISTINCT tenant_id, channel, resource_type, resource_id
            FROM unnest(p_measured)
        ) AS m
        INNER JOIN billing.direct_usage AS d USING (tenant_id, channel, resource_type, resource_id)
        INNER JOIN billing.usage_records AS r
            ON r.tenant_id = d.tenant_id
            AND r.created_at = d.created_at
            AND r.id = d.record_id
            AND r.usage_date = d.usage_date
        WHERE d.reversed_at IS NULL
    );
$$;

COMMENT ON FUNCTION billing.find_open_charges IS
'The charges of a source row that are not reversed (the last record of each chain), and those recorded by hand for the
resources in p_measured.';
