-- rate: the time zone that held for a tenant at an instant.
CREATE OR REPLACE FUNCTION billing.zone_of(p_tenant_id bigint, p_at timestamptz)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT COALESCE((
        SELECT t.timezone
        FROM billing.tenant_terms AS t
        WHERE t.tenant_id = p_tenant_id
            AND t.valid_from <= p_at
        ORDER BY t.valid_from DESC
        LIMIT 1
    ), 'UTC');
$$;

COMMENT ON FUNCTION billing.zone_of IS 'The zone of p_tenant_id at p_at; UTC for a tenant that is not known.';
