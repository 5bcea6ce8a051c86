-- operate: where a number may stand, piece by piece.
CREATE OR REPLACE FUNCTION billing.list_forgettable(p_with_sources boolean)
RETURNS TABLE (place text, relation regclass, described text, source_table text, blocks bigint)
LANGUAGE sql
STABLE
AS $$
    SELECT
        l.kind || l.relation::regclass::text, l.relation::regclass, l.described, l.source_table,
        pg_relation_size(l.relation) / current_setting('block_size')::bigint
    FROM (
        SELECT 'billing ' AS kind, c.oid AS relation, d.table_name AS described, NULL AS source_table
        FROM (SELECT DISTINCT x.table_name FROM billing.personal_data AS x WHERE x.on_forget IS NOT NULL) AS d
        CROSS JOIN LATERAL (SELECT to_regclass(format('billing.%I', d.table_name))) AS r (name)
        INNER JOIN pg_class AS c ON c.oid = r.name OR c.oid IN (SELECT t.relid FROM pg_partition_tree(r.name) AS t)
        WHERE c.relkind = 'r'
        UNION ALL
        SELECT 'billing ', to_regclass(format('billing.%I', m.table_name)), 'usage_records', NULL
        FROM billing.detached_months AS m
        WHERE m.dropped_at IS NULL
        UNION ALL
        SELECT 'source ', c.oid, NULL, m.source_table
        FROM billing.metered_tables AS m
        CROSS JOIN LATERAL (SELECT to_regclass(billing.qualify_source(m.source_table))) AS r (name)
        INNER JOIN pg_class AS c ON c.oid = r.name OR c.oid IN (SELECT t.relid FROM pg_partition_tree(r.name) AS t)
        WHERE p_with_sources
            AND c.relkind = 'r'
    ) AS l
    WHERE l.relation IS NOT NULL;
$$;

COMMENT ON FUNCTION billing.list_forgettable IS
'The tables that forget_subject looks through: those of personal_data.on_forget, partition by partition, detached months that are
there, and p_with_sources the metered tables. place: in which order. described: as personal_data.table_name; source_table: as
metered_tables.source_table; one of them is NULL. blocks: how long it is.';
