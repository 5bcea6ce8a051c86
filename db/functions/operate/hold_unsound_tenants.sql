-- operate: before invoices are issued, whose usage fails verification.
CREATE OR REPLACE FUNCTION billing.hold_unsound_tenants(p_from date, p_to date)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_held bigint;
BEGIN
    WITH found AS (
        SELECT v.check_name, v.subject, v.detail,
            COALESCE(
                substring(v.subject || ' ' || v.detail FROM 'tenant ([0-9]+)')::bigint,
                r.tenant_id, n.tenant_id, s.tenant_id,
                -- Nobody can say whose it is.
                0
            ) AS tenant_id
        FROM billing.run_verify(p_from, p_to) AS v
        LEFT JOIN billing.usage_records AS r ON r.id = substring(v.subject FROM '^usage record ([0-9]+)')::bigint
        LEFT JOIN billing.invoices AS n ON n.id = substring(v.subject FROM '^invoice ([0-9]+)')::bigint
        LEFT JOIN LATERAL (
            SELECT x.tenant_id
            FROM billing.usage_records AS x
            WHERE x.source_id = substring(v.subject FROM E'^\\S+ ([0-9]+)')::bigint
                AND x.source_table = substring(v.subject FROM E'^(\\S+) [0-9]+')
            LIMIT 1
        ) AS s ON true
        -- Unrated usage stands in its tenant's way by itself.
        WHERE v.check_name <> 'usage is rated'
    ),
    released AS (
        DELETE FROM billing.invoice_holds AS h
        WHERE h.source = 'verify'
            AND h.tenant_id NOT IN (SELECT f.tenant_id FROM found AS f)
    ),
    held AS (
        INSERT INTO billing.invoice_holds (tenant_id, source, reason)
        SELECT DISTINCT ON (f.tenant_id) f.tenant_id, 'verify', format('%s (%s: %s)', f.check_name, f.subject, f.detail)
        FROM found AS f
        ORDER BY f.tenant_id, f.check_name, f.subject
        ON CONFLICT (tenant_id, source) DO UPDATE
        SET reason = EXCLUDED.reason, held_at = now()
        RETURNING tenant_id
    )
    SELECT count(*) INTO v_held FROM held;
    RETURN v_held;
END;
$$;

COMMENT ON FUNCTION billing.hold_unsound_tenants IS
'Verifies the days p_from to p_to, and enters in invoice_holds whose usage or invoices broke a promise, so that nothing is
issued to them; 0 stands for all where nobody can say whose it is. Holds of an earlier verification that found something
else are taken away. How many are held. For the start of a run, and for every night. Raises UB012.';
