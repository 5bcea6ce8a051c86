-- operate: where a number may stand, piece by piece.
CREATE OR REPLACE FUNCTION billing.list_forgettable(p_with_sources boolean)
RETURNS TABLE (place text, relation regclass, described text, source_table text, blocks bigint)
LANGUAGE sql
STABLE
AS $$
    SELECT
        l.kind || l.relation::text, l.relation, l.described, l.source_table,
        pg_relation_size(l.relation) / current_setting('block_size')::bigint
    FROM (
        SELECT 'billing ' AS kind, t.relid AS relation, d.table_name AS described, NULL AS source_table
        FROM (SELECT DISTINCT x.table_name FROM billing.personal_data AS x WHERE x.on_forget IS NOT NULL) AS d
        CROSS JOIN LATERAL pg_partition_tree(format('billing.%I', d.table_name)::regclass) AS t
        WHERE t.isleaf
        UNION ALL
        SELECT 'billing ', to_regclass(format('billing.%I', m.table_name)), 'usage_records', NULL
        FROM billing.detached_months AS m
        WHERE m.dropped_at IS NULL
            AND to_regclass(format('billing.%I', m.table_name)) IS NOT NULL
        UNION ALL
        SELECT 'source ', t.relid, NULL, m.source_table
        FROM billing.metered_tables AS m
        CROSS JOIN LATERAL pg_partition_tree(to_regclass(billing.qualify_source(m.source_table))) AS t
        WHERE p_with_sources
            AND t.isleaf
    ) AS l;
$$;

COMMENT ON FUNCTION billing.list_forgettable IS
'The tables that forget_subject looks through: those of personal_data.on_forget, partition by partition, detached months that are
there, and p_with_sources the metered tables. place: in which order. described: as personal_data.table_name; source_table: as
metered_tables.source_table; one of them is NULL. blocks: how long it is.';
