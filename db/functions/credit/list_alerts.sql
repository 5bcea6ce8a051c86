-- credit: alerts, and how their deliveries stand.
CREATE OR REPLACE FUNCTION billing.list_alerts(p_tenant_id bigint DEFAULT NULL, p_limit integer DEFAULT 100)
RETURNS TABLE (
    id bigint,
    tenant_id bigint,
    period_start date,
    basis text,
    threshold numeric,
    used numeric,
    total numeric,
    currency text,
    created_at timestamptz,
    delivered bigint,
    waiting bigint,
    given_up bigint
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        a.id, a.tenant_id, a.period_start, a.basis, a.threshold, a.used, a.total, a.currency, a.created_at,
        d.delivered, d.waiting, d.given_up
    FROM (
        SELECT *
        FROM billing.alerts AS x
        WHERE p_tenant_id IS NULL OR x.tenant_id = p_tenant_id
        ORDER BY x.id DESC
        LIMIT p_limit
    ) AS a
    CROSS JOIN LATERAL (
        SELECT
            count(x.delivered_at) AS delivered, count(x.next_try_at) AS waiting,
            count(*) FILTER (WHERE x.delivered_at IS NULL AND x.next_try_at IS NULL) AS given_up
        FROM billing.alert_deliveries AS x
        WHERE x.tenant_id = a.tenant_id
            AND x.alert_id = a.id
    ) AS d
    ORDER BY a.id DESC;
$$;

COMMENT ON FUNCTION billing.list_alerts IS
'The latest p_limit alerts, of p_tenant_id or of all (NULL), latest first, as billing.alerts has them, and how many targets
took them (delivered), still get them (waiting), or did not take them in the end (given_up).';
