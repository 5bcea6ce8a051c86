-- operate: what sharding by tenant on Citus takes, step by step, from the catalog.
CREATE OR REPLACE FUNCTION billing.plan_distribution()
RETURNS TABLE (step integer, object_name text, becomes text, statement text, reason text)
LANGUAGE sql
STABLE
AS $$
    WITH RECURSIVE tables AS (
        SELECT
            c.oid, format('%I.%I', n.nspname, c.relname) AS name,
            CASE
                WHEN n.nspname <> 'billing' THEN 'yours'
                -- It keeps rows of nobody, which have no shard.
                WHEN c.relname = 'unrated_usage' THEN 'local'
                WHEN t.attnotnull THEN 'distributed'
                WHEN c.relname IN (
                    'pricing_plans', 'pricing_rates', 'resolved_prices', 'calendars', 'calendar_bands', 'calendar_holidays',
                    'plan_allowances', 'metered_tables', 'detached_months', 'month_loads', 'rerating_proposals',
                    'legal_entities', 'number_series', 'coupons', 'tax_rules', 'dunning_steps'
                ) THEN 'reference'
                ELSE 'local'
            END AS kind,
            CASE WHEN c.oid = 'public.tenants'::regclass THEN 'id' ELSE 'tenant_id' END AS key
        FROM pg_class AS c
        INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute AS t ON t.attrelid = c.oid AND t.attname = 'tenant_id' AND NOT t.attisdropped
        WHERE NOT c.relispartition
            AND c.relkind IN ('r', 'p')
            AND (n.nspname = 'billing'
                OR c.oid = 'public.tenants'::regclass
                OR c.oid IN (SELECT to_regclass(billing.qualify_source(m.source_table)) FROM billing.metered_tables AS m))
    ),
    -- A key that does not hold the column a table is distributed by cannot be kept over shards.
    keys AS (
        SELECT
            t.oid, t.name, t.kind, t.key, k.conname, k.contype, pg_get_constraintdef(k.oid) AS definition,
            EXISTS (
                SELECT
                FROM unnest(k.conkey) WITH ORDINALITY AS c (attnum, number)
                INNER JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = c.attnum AND a.attname = t.key
                -- An exclusion holds it only by equality.
                WHERE k.contype <> 'x'
                    OR (SELECT o.oprname FROM pg_operator AS o WHERE o.oid = k.conexclop[c.number]) = '='
            ) AS holds_tenant
        FROM tables AS t
        INNER JOIN pg_constraint AS k ON k.conrelid = t.oid AND k.contype IN ('p', 'u', 'x')
        WHERE t.kind IN ('yours', 'distributed')
    ),
    steps AS (
        SELECT 1 AS line, k.name AS object_name, 'change yours' AS becomes,
            format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s', k.name, k.conname, k.conname,
                regexp_replace(k.definition, E'\\(', format('(%I, ', k.key))) AS statement,
            'A key of a sharded table holds its tenant. What refers to it, refers to both.' AS reason
        FROM keys AS k
        WHERE k.kind = 'yours'
            AND NOT k.holds_tenant
        UNION ALL
        SELECT 2, t.name, 'change yours', format('ALTER TABLE %s ALTER COLUMN tenant_id SET NOT NULL', t.name),
            'A row without a tenant has no shard. It is refused from then on, where it is set aside today.'
        FROM tables AS t
        INNER JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attname = 'tenant_id' AND NOT a.attnotnull
        WHERE t.kind = 'yours'
        UNION ALL
        SELECT 3, f.conrelid::regclass::text, 'change yours', NULL::text,
            format('Its foreign key %s to %s needs tenant_id on both sides.', f.conname, t.name)
        FROM pg_constraint AS f
        INNER JOIN tables AS t ON t.oid = f.confrelid AND t.kind = 'yours'
        WHERE f.contype = 'f'
            AND t.key <> 'id'
            AND NOT EXISTS (
                SELECT
                FROM unnest(f.confkey) AS c (attnum)
                INNER JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = c.attnum AND a.attname = 'tenant_id'
            )
        UNION ALL
        SELECT 4, t.name, 'change yours', NULL,
            'Statements of yours that change its rows name tenant_id, too: by id alone they ask every shard.'
        FROM tables AS t
        WHERE t.kind = 'yours'
            AND t.key <> 'id'
        UNION ALL
        SELECT 5, k.name, 'distributed',
            format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s', k.name, k.conname, k.conname,
                replace(k.definition, 'int8range(tenant_id, tenant_id, ''[]''::text) WITH &&', 'tenant_id WITH =')),
            'An exclusion holds its tenant by equality there. Needs the extension btree_gist.'
        FROM keys AS k
        WHERE k.kind = 'distributed'
            AND NOT k.holds_tenant
        UNION ALL
        SELECT 6, 'citus.enable_unsafe_triggers', 'a setting', 'SET citus.enable_unsafe_triggers = on',
            'Triggers run on the shards, beside the rows: safe for those that touch one tenant. Set it for the database, too.'
        UNION ALL
        SELECT 7, t.name, 'local', format('ALTER TABLE %s DISABLE TRIGGER %I', t.name, g.tgname),
            'On every copy of a reference table it would run once more. Prices are then resolved by hand: billing.resolve_prices.'
        FROM tables AS t
        INNER JOIN pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'
        WHERE t.kind = 'reference'
        UNION ALL
        SELECT 8, t.name, 'reference', format('SELECT create_reference_table(%L)', t.name),
            'Small, and read by every write: a copy on every node.'
        FROM tables AS t
        WHERE t.kind = 'reference'
        UNION ALL
        SELECT CASE WHEN t.key = 'id' THEN 9 ELSE 10 END, t.name, 'distributed',
            CASE WHEN t.key = 'id' THEN format('SELECT create_distributed_table(%L, %L)', t.name, t.key)
                ELSE format('SELECT create_distributed_table(%L, %L, colocate_with => %L)', t.name, t.key, 'public.tenants') END,
            'A tenant''s rows lie on one shard, with all that is billed for them.'
        FROM tables AS t
        WHERE t.kind IN ('yours', 'distributed')
        UNION ALL
        -- The operator's own tables stay as they are, on the coordinator.
        SELECT 11, t.name, 'local', format('SELECT citus_add_local_table_to_metadata(%L)', t.name),
            'It keeps rows whose tenant is not known: on the coordinator, to be reached from every node.'
        FROM tables AS t
        WHERE t.oid IN ('billing.unrated_usage'::regclass, 'billing.audit_log'::regclass)
    ),
    -- What a foreign key refers to comes before what refers to it.
    chains AS (
        SELECT t.oid, t.name, 0 AS depth FROM tables AS t
        UNION
        SELECT t.oid, t.name, c.depth + 1
        FROM chains AS c
        INNER JOIN pg_constraint AS f ON f.contype = 'f' AND f.confrelid = c.oid AND f.conrelid <> c.oid
        INNER JOIN tables AS t ON t.oid = f.conrelid
        WHERE c.depth < 10
    ),
    depths AS (
        SELECT name, max(depth) AS depth FROM chains GROUP BY name
    )
    SELECT
        row_number() OVER (ORDER BY s.line, COALESCE(d.depth, 0), s.object_name, s.statement)::integer, s.object_name, s.becomes,
        s.statement, s.reason
    FROM steps AS s
    LEFT JOIN depths AS d ON d.name = s.object_name
    ORDER BY 1;
$$;

COMMENT ON FUNCTION billing.plan_distribution IS
'What makes this database one that is sharded by tenant on Citus: prices become reference tables, tenants, what is metered
and what is billed are distributed by tenant and lie together. becomes: distributed, reference, local (on the coordinator), a
setting, or change yours (the application''s tables, which nobody but you changes). statement: what does it; NULL: it is not
one statement. Does nothing itself. docs/scale.md says what of it was tried.';
