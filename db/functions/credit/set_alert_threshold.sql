-- credit: when to tell a tenant.
CREATE OR REPLACE FUNCTION billing.set_alert_threshold(
    p_tenant_id bigint,
    p_basis text,
    p_threshold numeric,
    p_is_wanted boolean DEFAULT true
)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
BEGIN
    IF (p_basis IN ('included', 'balance', 'cap', 'amount') AND p_threshold > 0 AND p_threshold < 'Infinity') IS NOT TRUE THEN
        RAISE EXCEPTION 'bad threshold'
            USING ERRCODE = 'UB012',
                DETAIL = format('The basis is %L, the threshold %s.', p_basis, COALESCE(p_threshold::text, 'NULL')),
                HINT = 'The basis is included, balance or cap, with a percentage, or amount; the threshold is above zero.';
    END IF;
    PERFORM billing.require_tenant(p_tenant_id);
    IF p_is_wanted THEN
        INSERT INTO billing.alert_thresholds (tenant_id, basis, threshold)
        VALUES (p_tenant_id, p_basis, p_threshold)
        ON CONFLICT (tenant_id, basis, threshold) DO NOTHING;
        INSERT INTO billing.alert_checks (tenant_id) VALUES (p_tenant_id) ON CONFLICT (tenant_id) DO NOTHING;
    ELSE
        DELETE FROM billing.alert_thresholds
        WHERE tenant_id = p_tenant_id
            AND basis = p_basis
            AND threshold = p_threshold;
        DELETE FROM billing.alert_checks AS c
        WHERE c.tenant_id = p_tenant_id
            AND NOT EXISTS (SELECT FROM billing.alert_thresholds AS t WHERE t.tenant_id = c.tenant_id);
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.set_alert_threshold IS
'Has p_tenant_id told once a period when p_threshold percent (of basis included, balance or cap), or the amount p_threshold, is
used; p_is_wanted false: no more. Raises UB002, UB012.';
