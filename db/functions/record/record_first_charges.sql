-- record: the usual case for many rows at once, in one statement. record_first_charge is the same for one.
CREATE OR REPLACE FUNCTION billing.record_first_charges(p_source_table text, p_measured billing.measurement[])
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_looks_closer boolean;
    v_written integer;
    v_tenant_ids bigint[];
    v_resource_ids text[];
BEGIN
    IF EXISTS (
        SELECT
        FROM unnest(p_measured) AS m
        INNER JOIN billing.direct_usage AS d
            ON d.tenant_id = m.tenant_id
            AND d.channel = m.channel
            AND d.resource_type = m.resource_type
            AND d.resource_id = m.resource_id
    ) THEN
        RAISE unique_violation USING MESSAGE = 'a resource was recorded by hand';
    END IF;

    v_looks_closer := EXISTS (
        SELECT
        FROM billing.tenant_terms AS t
        WHERE t.looks_closer
            AND t.tenant_id = ANY (ARRAY(SELECT DISTINCT m.tenant_id FROM unnest(p_measured) AS m))
    );
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
        count(*), array_agg(tenant_id) FILTER (WHERE v_looks_closer), array_agg(resource_id) FILTER (WHERE v_looks_closer)
    INTO v_written, v_tenant_ids, v_resource_ids
    FROM charged;

    IF v_looks_closer THEN
        PERFORM billing.settle_recorded(v_tenant_ids, v_resource_ids);
    END IF;
    IF v_written < cardinality(p_measured) THEN
        PERFORM billing.set_unpriced_aside(p_source_table, p_measured);
    END IF;
    RETURN v_written;
END;
$$;

COMMENT ON FUNCTION billing.record_first_charges IS
'record_first_charge for a set; how many records were written, the others are set aside.';
