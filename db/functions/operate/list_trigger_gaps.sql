-- operate: metered tables whose triggers are missing or off.
CREATE OR REPLACE FUNCTION billing.list_trigger_gaps()
RETURNS TABLE (source_table text, table_name text, trigger_name text, problem text)
LANGUAGE sql
STABLE
-- Who watches need not be allowed to use the application's schemas.
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
    SELECT
        m.source_table,
        COALESCE(
            (
                SELECT CASE WHEN n.nspname = 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END || quote_ident(c.relname)
                FROM pg_class AS c
                INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE c.oid = t.relid
            ),
            m.source_table
        ),
        x.name,
        CASE
            WHEN root.oid IS NULL THEN 'the table is gone'
            WHEN g.oid IS NULL THEN 'missing'
            WHEN g.tgenabled = 'D' THEN 'disabled'
            ELSE 'on replicas only'
        END
    FROM billing.metered_tables AS m
    LEFT JOIN pg_class AS root ON root.oid = to_regclass(billing.qualify_source(m.source_table))
    -- The triggers of a partitioned table are cloned to its partitions, and each can be switched off there.
    LEFT JOIN LATERAL (
        SELECT root.oid::regclass AS relid
        UNION
        SELECT p.relid FROM pg_partition_tree(root.oid) AS p WHERE root.relkind = 'p'
    ) AS t ON true
    CROSS JOIN LATERAL (
        VALUES ('billing_meter_insert'), ('billing_meter_update'), ('billing_meter_move')
    ) AS x (name)
    LEFT JOIN pg_trigger AS g
        ON g.tgrelid = t.relid
        AND g.tgname = x.name
    WHERE (x.name <> 'billing_meter_move' OR root.relkind = 'p')
        AND (g.oid IS NULL OR g.tgenabled NOT IN ('O', 'A'))
    UNION ALL
    SELECT c.source_table, c.source_table, NULL, c.problem
    FROM billing.list_changed_tables() AS c;
$$;

COMMENT ON FUNCTION billing.list_trigger_gaps IS
'Each trigger that a metered table (or a partition of it) should have, and has not or has switched off, and, without a
trigger_name, each table that is no longer what it was metered as (list_changed_tables); problem says which. What is written meanwhile is not billed until billing.reconcile finds it.';
