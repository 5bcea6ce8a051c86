-- invoice: where the records of a period do not add up to its daily sums, or cannot be told apart by when they were written.
CREATE OR REPLACE FUNCTION billing.find_usage_faults(p_tenant_ids bigint[], p_from date[], p_to date[])
RETURNS TABLE (tenant_id bigint, detail text)
LANGUAGE sql
STABLE
SET jit = off
AS $$
    SELECT
        a.tenant_id,
        format('%s days of %s to %s have daily sums that are not those of their records, the first is %s (%s/%s)',
            count(*), a.from_date, a.to_date, min(k.day), min(k.channel), min(k.resource_type))
    FROM unnest(p_tenant_ids, p_from, p_to) AS a (tenant_id, from_date, to_date)
    CROSS JOIN LATERAL (
        SELECT day, channel, resource_type
        FROM (
            SELECT
                d.summary_date AS day, d.channel, d.resource_type, sum(d.changes) AS changes, sum(d.total_quantity) AS quantity,
                sum(d.total_cost) AS total_cost, sum(d.record_count) AS record_count, sum(d.billed) AS billed
            FROM billing.daily_sums AS d
            WHERE d.tenant_id = a.tenant_id
                AND d.summary_date BETWEEN a.from_date AND a.to_date
            GROUP BY d.summary_date, d.channel, d.resource_type
        ) AS d
        FULL JOIN (
            SELECT
                p.usage_date AS day, p.channel, p.resource_type, min(p.changes) AS changes, sum(p.quantity) AS quantity,
                sum(p.total_cost) AS total_cost, sum(p.record_count) AS record_count, sum(p.billed) AS billed
            FROM billing.price_sums_by_day AS p
            WHERE p.tenant_id = a.tenant_id
                AND p.usage_date BETWEEN a.from_date AND a.to_date
            GROUP BY p.usage_date, p.channel, p.resource_type
        ) AS p USING (day, channel, resource_type)
        -- What was recorded since they were added up is late usage, and no fault.
        WHERE (d.changes = p.changes) IS NOT FALSE
            AND (d.quantity, d.total_cost, d.record_count, d.billed)
                IS DISTINCT FROM (p.quantity, p.total_cost, p.record_count, p.billed)
            AND NOT (p.changes IS NULL AND d.record_count = 0 AND d.quantity = 0 AND d.total_cost = 0)
            -- All of it was recorded since.
            AND NOT (p.changes IS NULL AND EXISTS (
                SELECT
                FROM billing.usage_records AS r
                WHERE r.tenant_id = a.tenant_id
                    AND r.usage_date = day
                    AND r.channel = d.channel
                    AND r.resource_type = d.resource_type
            ))
    ) AS k
    GROUP BY a.tenant_id, a.from_date, a.to_date
    UNION ALL
    -- A cut would call them unseen, and they would be billed again.
    SELECT
        a.tenant_id,
        format('%s records of %s to %s bear numbers of transactions that this server has yet to give', k.records, a.from_date, a.to_date)
    FROM unnest(p_tenant_ids, p_from, p_to) AS a (tenant_id, from_date, to_date)
    CROSS JOIN LATERAL (
        SELECT count(*) AS records
        FROM billing.usage_records AS r
        WHERE r.tenant_id = a.tenant_id
            AND r.usage_date BETWEEN a.from_date AND a.to_date
            AND r.xact >= pg_snapshot_xmax(pg_current_snapshot())
            AND r.xact IS DISTINCT FROM pg_current_xact_id_if_assigned()
    ) AS k
    WHERE k.records > 0;
$$;

COMMENT ON FUNCTION billing.find_usage_faults IS
'For each of these periods whose records (as add_up_prices has just added them up) are not what its daily sums say, or come from another server, whose transactions had higher numbers (catch_up_transactions): where.
verify() says more about it.';
