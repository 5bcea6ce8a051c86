-- record: prices and inserts first charges, and what they add to the daily sums.
CREATE OR REPLACE FUNCTION billing.write_first_charges(
    p_source_table text,
    p_measured billing.measurement[],
    p_looks_closer boolean
)
RETURNS TABLE (written integer, tenant_ids bigint[], resource_ids text[])
LANGUAGE plpgsql
-- How many rows there are is not known when they are planned. What is joined or grouped is hashed, or a guess would make it
-- quadratic.
SET enable_nestloop = off
SET enable_mergejoin = off
SET enable_sort = off
SET plan_cache_mode = force_generic_plan
-- What nested loops are left, for there one index is probed, count as so costly that the plan would be compiled.
SET jit = off
AS $$
BEGIN
    WITH charged AS (
        INSERT INTO billing.usage_records (
            tenant_id, source_id, rate_id, occurred_at, usage_date, part, source_table, channel, resource_type,
            resource_id, quantity, unit_cost, total_cost, currency, seconds, billed_quantity, destination
        )
        SELECT
            p.tenant_id, p.source_id, p.rate_id, p.occurred_at, p.usage_date, p.part, p_source_table, p.channel,
            p.resource_type, p.resource_id, p.quantity, p.unit_cost, p.total_cost, p.currency,
            CASE WHEN p.resource_type = 'minute' THEN p.measured END, p.billed_quantity, p.destination
        FROM billing.price_measurements(p_measured) AS p
        WHERE p.problem IS NULL
        RETURNING
            id, created_at, tenant_id, usage_date, channel, resource_type, resource_id, rate_id, quantity, billed_quantity,
            total_cost
    ),
    summed AS (
        INSERT INTO billing.usage_deltas (
            tenant_id, summary_date, record_count, channel, resource_type, rate_id, total_quantity, billed, total_cost
        )
        SELECT
            tenant_id, usage_date, count(*), channel, resource_type, p.rate_id,
            sum(quantity), sum(billing.in_seconds(resource_type, billed_quantity)), sum(total_cost)
        FROM charged
        -- What a period prices costs nothing by itself, so that other records need no second look at their rate.
        CROSS JOIN LATERAL (
            SELECT CASE WHEN total_cost = 0 THEN billing.period_rate_of(charged.rate_id) ELSE 0 END
        ) AS p (rate_id)
        GROUP BY tenant_id, usage_date, channel, resource_type, p.rate_id
    ),
    -- Under READ COMMITTED every statement sees what is committed. A snapshot that is older enters the resources as not
    -- recorded by hand: a record by hand that it does not see raises 40001 there.
    claimed AS (
        INSERT INTO billing.direct_usage (
            tenant_id, channel, resource_type, resource_id, record_id, created_at, usage_date, reversed_at
        )
        SELECT DISTINCT ON (tenant_id, channel, resource_type, resource_id)
            tenant_id, channel, resource_type, resource_id, id, created_at, usage_date, clock_timestamp()
        FROM charged
        WHERE current_setting('transaction_isolation') <> 'read committed'
        ON CONFLICT (tenant_id, channel, resource_type, resource_id) DO NOTHING
    )
    SELECT
        count(*), array_agg(tenant_id) FILTER (WHERE p_looks_closer), array_agg(resource_id) FILTER (WHERE p_looks_closer)
    INTO written, tenant_ids, resource_ids
    FROM charged;

    IF written < cardinality(p_measured) THEN
        PERFORM billing.set_unpriced_aside(p_source_table, p_measured);
    END IF;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.write_first_charges IS
'Writes revision 1 for each of p_measured that has a price, and sets the others aside: how many were written, and of these, where
p_looks_closer, the tenants and the resources. The caller knows that nothing is recorded of them.';
