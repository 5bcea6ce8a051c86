-- The catalog, read: what every object of the schema keeps to. Each test lists the objects that do not.
BEGIN;
SELECT plan(27);

-- Ours, not an extension's and not yoyo's; a partition is told by its parent.
CREATE TEMPORARY VIEW relations AS
SELECT oid, relname, relkind, reloptions
FROM pg_class
WHERE relnamespace = 'billing'::regnamespace
    AND relkind IN ('r', 'p', 'v', 'm')
    AND NOT relispartition;
CREATE TEMPORARY VIEW functions AS
SELECT oid, oid::regprocedure::text AS name, proname, prosecdef, proconfig, proacl, proowner
FROM pg_proc
WHERE pronamespace = 'billing'::regnamespace;

SELECT cmp_ok((SELECT count(*) FROM relations), '>', 12::bigint, 'there are tables and views to look at');
SELECT cmp_ok((SELECT count(*) FROM functions), '>', 50::bigint, 'and functions');

-- Comments.
SELECT is_empty($$SELECT name FROM functions WHERE obj_description(oid, 'pg_proc') IS NULL$$, 'every function has a comment');
SELECT is_empty($$SELECT relname FROM relations WHERE obj_description(oid, 'pg_class') IS NULL$$, 'every table and view has a comment');
SELECT is_empty(
    $$SELECT relname, attname FROM relations AS r
      INNER JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE col_description(r.oid, a.attnum) IS NULL$$,
    'every column has a comment');
SELECT is_empty(
    $$SELECT t.typname FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
      WHERE t.typnamespace = 'billing'::regnamespace AND t.typelem = 0 AND (t.typtype IN ('d', 'e') OR c.relkind = 'c')
        AND obj_description(t.oid, 'pg_type') IS NULL$$,
    'every type has a comment');

-- Security.
SELECT is_empty(
    $$SELECT name FROM functions
      WHERE prosecdef AND (proconfig @> '{"search_path=pg_catalog, billing, pg_temp"}') IS NOT TRUE$$,
    'every SECURITY DEFINER function has its search_path pinned to pg_catalog, billing, pg_temp');
SELECT isnt_empty('SELECT FROM functions WHERE prosecdef', 'and there are such functions');
SELECT is_empty(
    $$SELECT name FROM functions CROSS JOIN LATERAL unnest(proconfig) AS setting WHERE setting IN ('search_path=', 'search_path=""')$$,
    'no function has an empty search_path, which a temporary type could capture');
SELECT is_empty(
    $$SELECT name FROM functions WHERE proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0)$$,
    'no function can be executed by PUBLIC');
SELECT is_empty(
    $$SELECT relname FROM relations AS r
      WHERE relkind = 'v' AND (reloptions @> '{security_invoker=true}') IS NOT TRUE
        -- This one shows, masked, what who asks may not read himself.
        AND NOT (relname = 'usage_details' AND reloptions @> '{security_barrier=true}')
        AND EXISTS (
            SELECT FROM pg_rewrite AS w
            INNER JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
            WHERE w.ev_class = r.oid AND d.refobjid <> r.oid
        )$$,
    'every view that reads a table does so with the rights of who asks');

SELECT is_empty(
    $$SELECT c.oid::regclass FROM pg_class AS c
      INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
      WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity$$,
    'every table with tenants in it is under row level security, each month too');
SELECT is_empty(
    $$SELECT r.relname FROM relations AS r
      INNER JOIN pg_class AS c USING (oid)
      WHERE c.relrowsecurity AND r.relname !~ '^usage_records_[0-9]'
        AND (SELECT array_agg(p.polname::text ORDER BY p.polname) FROM pg_policy AS p WHERE p.polrelid = c.oid)
            IS DISTINCT FROM CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'billing_reader') THEN '{administered,every_tenant,own_tenants}'::text[] END$$,
    'and has the policies that go with it');
SELECT is_empty(
    $$SELECT p.polrelid::regclass, p.polname, pg_get_expr(p.polqual, p.polrelid) FROM pg_policy AS p
      WHERE p.polrelid <> 'billing.tenant_members'::regclass
        AND CASE p.polname WHEN 'own_tenants'
            THEN pg_get_expr(p.polqual, p.polrelid) !~ '= ANY \(\( SELECT (billing\.)?visible_tenant_ids\(\)|\( SELECT (billing\.)?visible_card_ids\(\) AS visible_card_ids\) @> ARRAY\['
            ELSE pg_get_expr(p.polqual, p.polrelid) <> 'true' END$$,
    'a policy asks once a statement, not for each row');
SELECT is_empty(
    $$SELECT relname FROM pg_class, aclexplode(relacl) WHERE relnamespace = 'billing'::regnamespace AND grantee = 0
      UNION ALL SELECT 'schema' FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'billing' AND grantee = 0$$,
    'PUBLIC has no right to a table, a column or the schema');
SELECT is_empty(
    $$SELECT c.oid::regclass, a.privilege_type, a.grantee::regrole FROM pg_class AS c, aclexplode(c.relacl) AS a
      WHERE c.relnamespace = 'billing'::regnamespace AND a.grantee <> c.relowner AND a.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE')$$,
    'nobody but the owner deletes, truncates, references or attaches triggers');

-- Names and keys.
SELECT is_empty('SELECT proname FROM functions GROUP BY proname HAVING count(*) > 1', 'no two functions have one name');
SELECT is_empty(
    $$SELECT c.conrelid::regclass, c.conname FROM pg_constraint AS c
      WHERE c.contype = 'f' AND c.connamespace = 'billing'::regnamespace
        AND NOT EXISTS (
            SELECT FROM pg_index AS i
            WHERE i.indrelid = c.conrelid AND i.indpred IS NULL
                AND (SELECT array_agg(k ORDER BY k) FROM unnest((i.indkey::int2[])[0:cardinality(c.conkey) - 1]) AS k)
                    = (SELECT array_agg(k ORDER BY k) FROM unnest(c.conkey) AS k)
        )$$,
    'every foreign key has an index');
SELECT isnt_empty($$SELECT FROM pg_constraint WHERE contype = 'f' AND connamespace = 'billing'::regnamespace$$, 'and there are foreign keys');
SELECT is_empty(
    $$SELECT conrelid::regclass, conname FROM pg_constraint
      WHERE connamespace = 'billing'::regnamespace AND contype = 'f' AND confrelid IN (SELECT oid FROM pg_class WHERE relnamespace <> 'billing'::regnamespace)$$,
    'no foreign key binds the application''s tables');
-- PostgreSQL itself names a check table_column_check, an exclusion ..._excl, and numbers what is taken.
SELECT is_empty(
    $$SELECT r.relname, c.conname FROM pg_constraint AS c
      INNER JOIN relations AS r ON r.oid = c.conrelid
      WHERE r.relname NOT LIKE '\_yoyo%' AND c.contype IN ('c', 'x', 'u', 'p', 'f')
        AND c.conname ~ '(_check|_excl|_(check|key|fkey|pkey|excl)[0-9]+)$'$$,
    'every constraint is named, not numbered');
SELECT is_empty(
    $$SELECT r.relname, i.indexrelid::regclass FROM pg_index AS i
      INNER JOIN relations AS r ON r.oid = i.indrelid
      WHERE r.relname NOT LIKE '\_yoyo%' AND i.indexrelid::regclass::text ~ '_(idx|key)[0-9]+$'$$,
    'every index is named, not numbered');
SELECT is_empty(
    $$SELECT r.relname, i.indexrelid::regclass FROM pg_index AS i
      INNER JOIN relations AS r ON r.oid = i.indrelid
      WHERE i.indisunique
        AND r.relname IN ('usage_records', 'usage_sums', 'direct_usage', 'tenant_terms', 'credit_entries', 'invoices', 'invoice_line_items', 'credit_uses',
            'credit_expiries', 'reservations', 'alerts', 'alert_targets', 'alert_deliveries')
        AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum = ANY (i.indkey) AND a.attname = 'tenant_id')$$,
    'every unique key of what grows has tenant_id in it');

SELECT set_eq(
    $$SELECT c.relname::text, g.tgname::text FROM pg_trigger AS g INNER JOIN pg_class AS c ON c.oid = g.tgrelid
      WHERE c.relnamespace = 'billing'::regnamespace AND g.tgname LIKE 'act\_%' AND g.tgenabled <> 'D'$$,
    $$SELECT w.table_name, 'act_' || e.what FROM watched_tables AS w CROSS JOIN unnest('{inserted,updated,deleted,truncated}'::text[]) AS e (what)$$,
    'whatever happens to a table of administrative acts is entered in the audit log');

-- Errors.
SELECT is_empty(
    $$SELECT name, code FROM functions AS f
      INNER JOIN pg_proc AS p USING (oid)
      CROSS JOIN LATERAL (SELECT DISTINCT m[1] AS code FROM regexp_matches(p.prosrc, '(UB[0-9]{3})', 'g') AS m) AS codes
      WHERE code NOT IN (SELECT sqlstate FROM error_codes)$$,
    'every SQLSTATE that a function raises is in error_codes');
SELECT set_has(
    'SELECT sqlstate FROM error_codes',
    $$SELECT 'UB0' || lpad(n::text, 2, '0') FROM generate_series(1, 10) AS n$$,
    'error_codes has those of the contract');
SELECT is_empty(
    $$SELECT relname, attname, format_type(atttypid, NULL) FROM relations AS r
      INNER JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE atttypid IN ('real'::regtype, 'double precision'::regtype, 'money'::regtype, 'timestamp'::regtype)
        AND relname NOT LIKE '\_yoyo%'$$,
    'no amount is a float and no instant is without its zone');

SELECT * FROM finish();
ROLLBACK;
