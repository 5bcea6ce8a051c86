-- invoice: what is not paid in time.
CREATE OR REPLACE FUNCTION billing.mark_overdue(p_at timestamptz DEFAULT now(), p_limit integer DEFAULT 1000)
RETURNS bigint
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
    WITH late AS (
        SELECT i.tenant_id, i.id, i.status, i.dunning_level, s.level, s.description
        FROM billing.invoices AS i
        LEFT JOIN public.tenants AS t ON t.id = i.tenant_id
        CROSS JOIN LATERAL (SELECT (p_at AT TIME ZONE COALESCE(t.timezone, 'UTC'))::date - i.due_date AS days) AS d
        LEFT JOIN LATERAL (
            SELECT x.level, x.description
            FROM billing.dunning_steps AS x
            WHERE x.legal_entity_id = i.legal_entity_id
                AND x.days_overdue <= d.days
            ORDER BY x.level DESC
            LIMIT 1
        ) AS s ON true
        WHERE i.status IN ('pending', 'overdue')
            AND i.due_date < (p_at AT TIME ZONE 'UTC')::date + 1
            AND d.days > 0
            AND (i.status = 'pending' OR s.level > i.dunning_level)
        ORDER BY i.due_date
        LIMIT GREATEST(p_limit, 0)
        -- Who is paying it just now knows better.
        FOR UPDATE OF i SKIP LOCKED
    ),
    marked AS (
        UPDATE billing.invoices AS i
        SET status = 'overdue', dunning_level = GREATEST(i.dunning_level, l.level)
        FROM late AS l
        WHERE i.tenant_id = l.tenant_id
            AND i.id = l.id
    ),
    entered AS (
        INSERT INTO billing.invoice_events (tenant_id, invoice_id, event, amount, detail, happened_at)
        SELECT l.tenant_id, l.id, e.event, NULL, e.detail, p_at
        FROM late AS l
        CROSS JOIN LATERAL (
            SELECT 1 AS n, 'overdue' AS event, NULL AS detail
            WHERE l.status = 'pending'
            UNION ALL
            SELECT 2, 'dunning', l.description
            WHERE l.level > l.dunning_level
        ) AS e
        ORDER BY l.tenant_id, l.id, e.n
    )
    SELECT count(*) FROM late;
$$;

COMMENT ON FUNCTION billing.mark_overdue IS
'Makes pending invoices overdue on the day after due_date, in the tenant''s zone, and raises dunning_level as dunning_steps has
it; each change is an event, from which reminders are sent. At most p_limit invoices; how many. Never waits. Part of maintain().';
