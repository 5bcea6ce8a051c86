-- record: makes a row's charge meet one recorded by hand that its snapshot is too old to see.
CREATE OR REPLACE FUNCTION billing.claim_resources(p_measured billing.measurement[])
RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO billing.direct_usage (
        tenant_id, channel, resource_type, resource_id, record_id, created_at, usage_date, reversed_at
    )
    SELECT DISTINCT ON (m.tenant_id, m.channel, m.resource_type, m.resource_id)
        m.tenant_id, m.channel, m.resource_type, m.resource_id, r.id, r.created_at, r.usage_date, clock_timestamp()
    FROM unnest(p_measured) AS m
    INNER JOIN billing.usage_records AS r
        ON r.source_id = m.source_id
        AND r.tenant_id = m.tenant_id
        AND r.resource_id = m.resource_id
        AND r.revision = 1
    ON CONFLICT (tenant_id, channel, resource_type, resource_id) DO NOTHING;
$$;

COMMENT ON FUNCTION billing.claim_resources IS
'For REPEATABLE READ and SERIALIZABLE: enters the resources just charged by their rows into direct_usage, as not
recorded by hand. A hand-made record of the same resource that the snapshot does not see raises 40001 there. (Under READ
COMMITTED every statement sees what is committed.)';
