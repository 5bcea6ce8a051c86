-- record: the tables in which a row is found by its resource.
CREATE OR REPLACE FUNCTION billing.list_keyed_tables()
RETURNS TABLE (source_table text, source text, resource text, has_tenant boolean)
LANGUAGE sql
STABLE
AS $$
    SELECT m.source_table, q.source, quote_ident(m.resource_column), strpos(m.measure_call, '=> r.tenant_id::') > 0
    FROM billing.metered_tables AS m
    CROSS JOIN LATERAL (SELECT billing.qualify_source(m.source_table) OFFSET 0) AS q (source)
    WHERE m.resource_column IS NOT NULL
        -- The application may have dropped its table, or a column of it: who asks for another's does not fail by that.
        AND NOT EXISTS (
            SELECT
            FROM unnest(ARRAY['id', m.resource_column, CASE WHEN strpos(m.measure_call, '=> r.tenant_id::') > 0 THEN 'tenant_id' END]) AS n (name)
            WHERE NOT EXISTS (
                SELECT
                FROM pg_attribute AS a
                WHERE a.attrelid = to_regclass(q.source)
                    AND a.attname = n.name
                    AND NOT a.attisdropped
                    AND (n.name <> 'id' OR (
                        SELECT COALESCE(NULLIF(t.typbasetype, 0), t.oid) IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype)
                        FROM pg_type AS t
                        WHERE t.oid = a.atttypid
                    ))
            )
            AND n.name IS NOT NULL
        );
$$;

COMMENT ON FUNCTION billing.list_keyed_tables IS
'The metered tables that have a resource column, and still have it: as records name them, qualified, and the column, both ready to
stand in a statement. has_tenant: whose a row is stands in its tenant_id; else only its charge tells.';
