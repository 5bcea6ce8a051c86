-- record: makes a row's charge meet one recorded by hand that its snapshot is too old to see.
CREATE OR REPLACE FUNCTION billing.claim_resource(
    p_source_table text,
    p_source_id bigint,
    p_part smallint,
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_resource_id text,
    p_usage_date date
)
RETURNS void
-- Not sql, of which PostgreSQL before 18 plans each call anew.
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO billing.direct_usage (
        tenant_id, channel, resource_type, resource_id, record_id, created_at, usage_date, reversed_at
    )
    SELECT p_tenant_id, p_channel, p_resource_type, p_resource_id, r.id, r.created_at, r.usage_date, clock_timestamp()
    FROM billing.usage_records AS r
    WHERE r.source_id = p_source_id
        AND r.source_table = p_source_table
        AND r.part = p_part
        AND r.usage_date = p_usage_date
        AND r.revision = 1
        AND r.tenant_id = p_tenant_id
        AND current_setting('transaction_isolation') <> 'read committed'
    ON CONFLICT (tenant_id, channel, resource_type, resource_id) DO NOTHING;
END;
$$;

COMMENT ON FUNCTION billing.claim_resource IS
'For REPEATABLE READ and SERIALIZABLE: enters the resource just charged by its row into direct_usage, as not recorded by
hand. A hand-made record of it that the snapshot does not see raises 40001 there. (Under READ COMMITTED every statement
sees what is committed.)';
