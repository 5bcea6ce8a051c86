-- operate: is all well? One row a figure, for people and for Prometheus.
CREATE OR REPLACE VIEW billing.usage_health WITH (security_invoker = true) AS
SELECT metric, subject, value, unit, is_ok, hint
FROM (
    SELECT
        1 AS line, 'deltas_waiting' AS metric, '' AS subject, count(*)::numeric AS value, 'rows' AS unit,
        count(*) < 500000 AS is_ok, 'Sums are exact, and read slower: call billing.maintain() more often.' AS hint
    FROM billing.usage_deltas
    UNION ALL
    SELECT
        CASE r.task WHEN 'maintain' THEN 2 WHEN 'reconcile' THEN 10 WHEN 'verify' THEN 12 ELSE 14 END,
        replace(r.task, ' ', '_') || '_age', '', extract(epoch FROM now() - r.finished_at), 'seconds',
        CASE r.task
            WHEN 'maintain' THEN COALESCE(r.finished_at > now() - interval '1 hour', false)
            WHEN 'verify window' THEN true
            ELSE COALESCE(r.finished_at > now() - interval '2 days', false)
        END,
        CASE r.task
            WHEN 'maintain' THEN 'Have a scheduler call billing.maintain() every minute.'
            WHEN 'reconcile' THEN 'Run irisx-usage reconcile --days 3 every night.'
            WHEN 'verify' THEN 'Run irisx-usage verify every night.'
            ELSE 'irisx-usage verify --days 1 may run every few minutes.'
        END
    FROM billing.task_runs AS r
    WHERE r.task IN ('maintain', 'reconcile', 'verify', 'verify window')
    UNION ALL
    SELECT 3, 'unrated', '', count(*), 'rows', count(*) = 0,
        'SELECT * FROM billing.unrated_usage WHERE resolved_at IS NULL; mend what reason says, then billing.retry_unrated().'
    FROM billing.unrated_usage
    WHERE resolved_at IS NULL
    UNION ALL
    SELECT 4, 'unrated_age', '', COALESCE(extract(epoch FROM now() - min(first_seen_at)), 0), 'seconds',
        COALESCE(min(first_seen_at) > now() - interval '1 day', true),
        'Invoices of that tenant are refused until it is rated or dismissed.'
    FROM billing.unrated_usage
    WHERE resolved_at IS NULL
    UNION ALL
    SELECT 5, 'partitions_ahead', '', GREATEST(COALESCE(min(n) - 1, 12), 0), 'months', COALESCE(min(n), 13) > 1,
        'billing.maintain() makes three; without one, usage goes to the default partition.'
    FROM generate_series(0, 12) AS n
    WHERE NOT EXISTS (
        SELECT
        FROM pg_inherits AS i
        INNER JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'billing.usage_records'::regclass
            AND c.relname = 'usage_records_' || to_char(now() AT TIME ZONE 'UTC' + n * interval '1 month', 'YYYY_MM')
    )
    UNION ALL
    SELECT 6, 'default_partition', '', count(*), 'rows', count(*) = 0,
        'billing.maintain() moves up to 50,000 records of a month; for more, SELECT billing.ensure_partition(day) in a quiet hour.'
    FROM billing.usage_records_default
    UNION ALL
    SELECT 7, 'detached_months', '', count(*), 'months', true,
        'Usage of such a month is set aside until billing.attach_month, or irisx-usage restore, brings it back.'
    FROM billing.detached_months
    UNION ALL
    SELECT 8, 'triggers_off', m.source_table, count(g.trigger_name), 'triggers', count(g.trigger_name) = 0,
        'SELECT * FROM billing.list_trigger_gaps(); enable them, or billing.meter_table again, then billing.reconcile for those days.'
    FROM billing.metered_tables AS m
    LEFT JOIN billing.list_trigger_gaps() AS g USING (source_table)
    GROUP BY m.source_table
    UNION ALL
    SELECT
        CASE r.task WHEN 'reconcile' THEN 11 WHEN 'verify' THEN 13 ELSE 15 END,
        replace(r.task, ' ', '_') || '_found', '', r.found, CASE r.task WHEN 'reconcile' THEN 'records' ELSE 'violations' END,
        r.task = 'reconcile' OR COALESCE(r.found, 0) = 0,
        CASE r.task
            WHEN 'reconcile' THEN 'What it repaired had got past the triggers: were they off?'
            ELSE 'irisx-usage verify names them, and says what to do.'
        END
    FROM billing.task_runs AS r
    WHERE r.task IN ('reconcile', 'verify', 'verify window')
    UNION ALL
    SELECT 16, 'alerts_waiting', '', count(*), 'rows', COALESCE(min(next_try_at) > now() - interval '1 hour', true),
        'Have a scheduler call irisx-usage alerts deliver every minute.'
    FROM billing.alert_deliveries
    WHERE next_try_at IS NOT NULL
    UNION ALL
    SELECT 17, 'alerts_given_up', '', count(*), 'rows', count(*) = 0,
        'Targets did not take them: SELECT * FROM billing.alert_deliveries WHERE last_error IS NOT NULL; mend the target, then set next_try_at to now().'
    FROM billing.alert_deliveries
    WHERE next_try_at IS NULL
        AND delivered_at IS NULL
    UNION ALL
    SELECT 18, 'expiries_waiting', '', count(*), 'rows', COALESCE(min(look_at) > now() - interval '1 hour', true),
        'Balances leave them out, tenants.credit_balance does not yet: call billing.maintain() more often.'
    FROM billing.credit_expiries AS x
    WHERE x.look_at <= now()
        AND (SELECT t.currency IS NOT NULL FROM billing.find_tenant(x.tenant_id) AS t)
) AS metrics
ORDER BY line, subject;

COMMENT ON VIEW billing.usage_health IS
'One row for each figure that an operator watches. docs/operations.md explains them; docs/sql_exporter.yml exports them.';
COMMENT ON COLUMN billing.usage_health.metric IS 'The figure.';
COMMENT ON COLUMN billing.usage_health.subject IS 'The table it is of; empty: the whole of billing.';
COMMENT ON COLUMN billing.usage_health.value IS 'The figure itself; NULL: not known, for what never ran.';
COMMENT ON COLUMN billing.usage_health.unit IS 'rows, records, violations, triggers, months or seconds.';
COMMENT ON COLUMN billing.usage_health.is_ok IS 'false: somebody should look.';
COMMENT ON COLUMN billing.usage_health.hint IS 'What to do about it.';
