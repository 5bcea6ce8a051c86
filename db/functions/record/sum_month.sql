-- record: what a loaded month adds to the daily sums.
CREATE OR REPLACE FUNCTION billing.sum_month(p_table text)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_records bigint;
BEGIN
    EXECUTE format(
        'WITH summed AS (
            INSERT INTO billing.usage_deltas (
                tenant_id, summary_date, record_count, channel, resource_type, rate_id, total_quantity, billed, total_cost
            )
            SELECT
                r.tenant_id, r.usage_date, count(*), r.channel, r.resource_type, p.rate_id, sum(r.quantity),
                sum(billing.in_seconds(r.resource_type, r.billed_quantity)), sum(r.total_cost)
            FROM billing.%I AS r
            -- What a period prices costs nothing by itself.
            CROSS JOIN LATERAL (
                SELECT CASE WHEN r.total_cost = 0 THEN billing.period_rate_of(r.rate_id) ELSE 0 END
            ) AS p (rate_id)
            GROUP BY r.tenant_id, r.usage_date, r.channel, r.resource_type, p.rate_id
            RETURNING record_count
        )
        SELECT COALESCE(sum(record_count), 0) FROM summed',
        p_table
    ) INTO v_records;
    RETURN v_records;
END;
$$;

COMMENT ON FUNCTION billing.sum_month IS
'Enters in usage_deltas the sums of billing.p_table, all of whose records are charges; how many there are. In the transaction
that attaches it, so that every snapshot sees the sums with the records.';
