-- invoice: brings price_sums_by_day up to date for some periods, and says what it saw.
CREATE OR REPLACE FUNCTION billing.add_up_prices(
    p_tenant_ids bigint[],
    p_from date[],
    p_to date[],
    p_anew boolean DEFAULT false
)
RETURNS billing.usage_cut
LANGUAGE sql
SET jit = off
AS $$
    WITH days AS MATERIALIZED (
        SELECT d.tenant_id, d.summary_date, d.channel, d.resource_type, d.changes
        FROM unnest(p_tenant_ids, p_from, p_to) AS a (tenant_id, from_date, to_date)
        CROSS JOIN LATERAL (
            SELECT s.tenant_id, s.summary_date, s.channel, s.resource_type, sum(s.changes)::bigint AS changes
            FROM billing.daily_sums AS s
            WHERE s.tenant_id = a.tenant_id
                AND s.summary_date BETWEEN a.from_date AND a.to_date
            GROUP BY s.tenant_id, s.summary_date, s.channel, s.resource_type
        ) AS d
    ),
    stale AS MATERIALIZED (
        SELECT d.*
        FROM days AS d
        WHERE p_anew
            OR NOT EXISTS (
                SELECT
                FROM billing.price_sums_by_day AS p
                WHERE p.tenant_id = d.tenant_id
                    AND p.usage_date = d.summary_date
                    AND p.channel = d.channel
                    AND p.resource_type = d.resource_type
                    AND p.changes = d.changes
            )
    ),
    added AS (
        INSERT INTO billing.price_sums_by_day AS p (
            tenant_id, usage_date, channel, resource_type, rate_id, unit_cost, quantity, billed, total_cost,
            record_count, changes
        )
        SELECT
            s.tenant_id, s.summary_date, s.channel, s.resource_type, r.rate_id, r.unit_cost, r.quantity, r.billed,
            r.total_cost, r.record_count, s.changes
        FROM (
            SELECT tenant_id, min(summary_date) AS first_day, max(summary_date) AS last_day
            FROM stale
            GROUP BY tenant_id
        ) AS a
        CROSS JOIN LATERAL (
            SELECT
                u.usage_date, u.channel, u.resource_type, u.rate_id, u.unit_cost::numeric AS unit_cost, sum(u.quantity) AS quantity,
                sum(billing.in_seconds(u.resource_type, u.billed_quantity)) AS billed, sum(u.total_cost) AS total_cost,
                sum(CASE u.kind WHEN 'charge' THEN 1 ELSE -1 END) AS record_count
            FROM billing.usage_records AS u
            WHERE u.tenant_id = a.tenant_id
                AND u.usage_date BETWEEN a.first_day AND a.last_day
            GROUP BY u.usage_date, u.channel, u.resource_type, u.rate_id, u.unit_cost
        ) AS r
        INNER JOIN stale AS s
            ON s.tenant_id = a.tenant_id
            AND s.summary_date = r.usage_date
            AND s.channel = r.channel
            AND s.resource_type = r.resource_type
        ON CONFLICT (tenant_id, usage_date, channel, resource_type, rate_id, unit_cost) DO UPDATE
        SET
            quantity = EXCLUDED.quantity,
            billed = EXCLUDED.billed,
            total_cost = EXCLUDED.total_cost,
            record_count = EXCLUDED.record_count,
            changes = EXCLUDED.changes
    )
    -- The sequence is read after the snapshot was taken: whatever that sees has a number up to this one.
    SELECT (q.last_value, pg_current_snapshot(), pg_current_xact_id())::billing.usage_cut
    FROM billing.usage_records_id_seq AS q;
$$;

COMMENT ON FUNCTION billing.add_up_prices IS
'Adds up the records of these tenants'' days (both included) by price, where something was recorded since it was last done;
p_anew: all of them. Gives the cut that price_sums_by_day then stands for. Nobody waits for it: it reads records in one
statement, and its caller holds lock_invoicing for these tenants.';
