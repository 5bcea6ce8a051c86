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
        tenant_id, summary_date, record_count, channel, resource_type, total_quantity, total_cost
    )
    SELECT
        tenant_id, usage_date, sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END), channel, resource_type,
        sum(quantity), sum(total_cost)
    FROM unnest(p_records)
    GROUP BY tenant_id, usage_date, channel, resource_type;
    RETURN COALESCE(cardinality(p_records), 0);
END;
$$;

COMMENT ON FUNCTION billing.write_records IS 'Writes p_records as they stand; how many.';
