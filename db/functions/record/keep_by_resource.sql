-- record: a charge that has no row any more is found by its resource.
CREATE OR REPLACE FUNCTION billing.keep_by_resource(p_record billing.usage_records)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO billing.direct_usage AS d (
        tenant_id, channel, resource_type, resource_id, record_id, created_at, usage_date
    )
    VALUES (
        p_record.tenant_id, p_record.channel, p_record.resource_type, p_record.resource_id,
        p_record.id, p_record.created_at, p_record.usage_date
    )
    ON CONFLICT (tenant_id, channel, resource_type, resource_id) DO UPDATE
    SET record_id = EXCLUDED.record_id, created_at = EXCLUDED.created_at, usage_date = EXCLUDED.usage_date, reversed_at = NULL
    -- Entered as not recorded by hand (claim_resource), or taken over by its row since.
    WHERE d.reversed_at IS NOT NULL;
END;
$$;

COMMENT ON FUNCTION billing.keep_by_resource IS
'Enters p_record, a charge without a row, into direct_usage: the resource is then billed once, by whatever row or hand it comes
again.';
