-- record: inserts finished records, and what they add to the daily sums.
CREATE OR REPLACE FUNCTION billing.write_records(p_records billing.usage_records[])
RETURNS integer
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO billing.usage_records
    SELECT *
    FROM unnest(p_records);

    INSERT INTO billing.usage_deltas (
        tenant_id, summary_date, record_count, channel, resource_type, rate_id, total_quantity, billed, total_cost
    )
    SELECT
        r.tenant_id, r.usage_date, sum(CASE r.kind WHEN 'charge' THEN 1 ELSE -1 END), r.channel, r.resource_type,
        p.rate_id, sum(r.quantity), sum(billing.in_seconds(r.resource_type, r.billed_quantity)), sum(r.total_cost)
    FROM unnest(p_records) AS r
    CROSS JOIN LATERAL (
        SELECT CASE WHEN r.total_cost = 0 THEN billing.period_rate_of(r.rate_id) ELSE 0 END
    ) AS p (rate_id)
    GROUP BY r.tenant_id, r.usage_date, r.channel, r.resource_type, p.rate_id;
    PERFORM billing.settle_recorded(array_agg(r.tenant_id), array_agg(r.resource_id))
    FROM unnest(p_records) AS r
    WHERE r.kind = 'charge';
    RETURN COALESCE(cardinality(p_records), 0);
END;
$$;

COMMENT ON FUNCTION billing.write_records IS 'Writes p_records as they stand; how many.';
