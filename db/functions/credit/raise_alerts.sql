-- credit: finds the thresholds that were crossed.
CREATE OR REPLACE FUNCTION billing.raise_alerts(p_limit integer DEFAULT 1000)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_tenant_ids bigint[];
    v_raised bigint;
BEGIN
    -- Who has waited longest comes first; whom another round is looking at is passed over.
    WITH waiting AS (
        SELECT c.tenant_id
        FROM billing.alert_checks AS c
        INNER JOIN public.tenants AS t ON t.id = c.tenant_id
        ORDER BY c.checked_at
        LIMIT GREATEST(p_limit, 0)
        FOR UPDATE OF c SKIP LOCKED
    ),
    looked AS (
        UPDATE billing.alert_checks AS c
        SET checked_at = clock_timestamp()
        FROM waiting AS w
        WHERE c.tenant_id = w.tenant_id
        RETURNING c.tenant_id
    )
    SELECT array_agg(l.tenant_id) INTO v_tenant_ids FROM looked AS l;

    WITH crossed AS (
        SELECT t.tenant_id, f.period_start, t.basis, t.threshold, f.used, f.total, f.currency
        FROM billing.alert_thresholds AS t
        CROSS JOIN LATERAL billing.get_alert_figure(t.tenant_id, t.basis) AS f
        WHERE t.tenant_id = ANY (v_tenant_ids)
            AND f.used > 0
            AND f.used * 100 >= CASE t.basis WHEN 'amount' THEN t.threshold * 100 ELSE t.threshold * f.total END
    ),
    raised AS (
        INSERT INTO billing.alerts (tenant_id, period_start, basis, threshold, used, total, currency)
        SELECT c.tenant_id, c.period_start, c.basis, c.threshold, c.used, c.total, c.currency
        FROM crossed AS c
        ORDER BY c.tenant_id, c.basis, c.threshold
        ON CONFLICT (tenant_id, period_start, basis, threshold) DO NOTHING
        RETURNING *
    ),
    queued AS (
        INSERT INTO billing.alert_deliveries (tenant_id, alert_id, target_id)
        SELECT r.tenant_id, r.id, g.id
        FROM raised AS r
        INNER JOIN billing.alert_targets AS g ON g.tenant_id = r.tenant_id AND g.is_active
    ),
    told AS (
        SELECT pg_notify('billing_alert', json_build_object(
            'id', r.id, 'tenant_id', r.tenant_id, 'basis', r.basis, 'threshold', r.threshold::text
        )::text)
        FROM raised AS r
    )
    SELECT count(*) INTO v_raised FROM told;
    RETURN v_raised;
END;
$$;

COMMENT ON FUNCTION billing.raise_alerts IS
'Compares the thresholds of at most p_limit tenants, those that were looked at longest ago, and writes an alert for each that is
crossed and was not yet in this billing period, with a delivery for each active target, and NOTIFY billing_alert (JSON: id,
tenant_id, basis, threshold) with the commit; how many. Called by maintain(): with up to p_limit tenants that have thresholds, a
crossing is found by the next round.';
