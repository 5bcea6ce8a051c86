-- credit: takes deliveries that are due, for one who sends them.
CREATE OR REPLACE FUNCTION billing.claim_deliveries(p_limit integer DEFAULT 20, p_lease interval DEFAULT '2 minutes')
RETURNS TABLE (
    tenant_id bigint,
    alert_id bigint,
    target_id bigint,
    attempt integer,
    kind text,
    address text,
    secret text,
    idempotency_key text,
    payload jsonb
)
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
    WITH due AS (
        SELECT d.tenant_id, d.alert_id, d.target_id
        FROM billing.alert_deliveries AS d
        WHERE d.next_try_at <= clock_timestamp()
        ORDER BY d.next_try_at
        LIMIT GREATEST(p_limit, 0)
        FOR UPDATE SKIP LOCKED
    ),
    claimed AS (
        -- Who dies while sending leaves it to the next after the lease.
        UPDATE billing.alert_deliveries AS d
        SET attempts = d.attempts + 1, next_try_at = clock_timestamp() + p_lease
        FROM due
        WHERE d.tenant_id = due.tenant_id
            AND d.alert_id = due.alert_id
            AND d.target_id = due.target_id
        RETURNING d.*
    )
    SELECT
        c.tenant_id, c.alert_id, c.target_id, c.attempts, t.kind, t.address, t.secret,
        format('alert-%s-%s-%s', c.tenant_id, c.alert_id, c.target_id),
        jsonb_build_object(
            'id', a.id, 'tenant_id', a.tenant_id, 'period_start', a.period_start, 'basis', a.basis,
            'threshold', trim_scale(a.threshold)::text, 'used', trim_scale(a.used)::text, 'total', trim_scale(a.total)::text,
            'currency', a.currency, 'created_at', a.created_at
        )
    FROM claimed AS c
    INNER JOIN billing.alerts AS a ON a.tenant_id = c.tenant_id AND a.id = c.alert_id
    INNER JOIN billing.alert_targets AS t ON t.tenant_id = c.tenant_id AND t.id = c.target_id;
$$;

COMMENT ON FUNCTION billing.claim_deliveries IS
'At most p_limit deliveries that are due, for whoever calls, and for nobody else until p_lease is over: commit, send, and say how
it went by finish_delivery. attempt counts from 1. idempotency_key is the same at each attempt. Amounts in payload are strings.';
