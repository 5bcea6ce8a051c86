-- record: the usual case for many rows at once, in one statement.
CREATE OR REPLACE FUNCTION billing.record_first_charges(p_source_table text, p_measured billing.measurement[])
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_unpriced billing.measurement[];
    v_problems text[];
    v_written integer;
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

    WITH priced AS MATERIALIZED (
        SELECT measured AS m, priced AS p
        FROM billing.price_measurements(p_measured)
    ),
    charged AS (
        INSERT INTO billing.usage_records (
            tenant_id, source_id, rate_id, occurred_at, usage_date, part, source_table, channel, resource_type,
            resource_id, quantity, unit_cost, total_cost, currency, seconds, billed_quantity, destination
        )
        SELECT
            (m).tenant_id, (m).source_id, (p).rate_id, (m).occurred_at, (p).usage_date, (m).part, p_source_table,
            (m).channel, (m).resource_type, (m).resource_id, (p).quantity, (p).unit_cost, (p).total_cost, (p).currency,
            CASE WHEN (m).resource_type = 'minute' THEN (m).quantity END, (p).billed_quantity, (m).destination
        FROM priced
        WHERE (p).problem IS NULL
        RETURNING tenant_id, usage_date, channel, resource_type, quantity, total_cost
    ),
    summed AS (
        INSERT INTO billing.usage_deltas (
            tenant_id, summary_date, record_count, channel, resource_type, total_quantity, total_cost
        )
        SELECT tenant_id, usage_date, count(*), channel, resource_type, sum(quantity), sum(total_cost)
        FROM charged
        GROUP BY tenant_id, usage_date, channel, resource_type
    )
    SELECT array_agg(m), array_agg((p).problem), (SELECT count(*) FROM charged)
    INTO v_unpriced, v_problems, v_written
    FROM priced
    WHERE (p).problem IS NOT NULL;

    FOR v_i IN 1 .. COALESCE(cardinality(v_unpriced), 0) LOOP
        PERFORM billing.set_problem_aside(p_source_table, v_unpriced[v_i], v_problems[v_i]);
    END LOOP;
    RETURN v_written;
END;
$$;

COMMENT ON FUNCTION billing.record_first_charges IS 'record_first_charge for a set; how many records were written.';
