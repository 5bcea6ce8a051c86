-- rate: what many measurements cost, in one statement.
CREATE OR REPLACE FUNCTION billing.price_measurements(p_measured billing.measurement[])
RETURNS TABLE (measured billing.measurement, priced billing.priced_usage)
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT
        (m.source_id, m.part, m.tenant_id, m.channel, m.resource_type, m.resource_id, m.quantity, m.destination,
            at.occurred_at)::billing.measurement,
        CASE
            WHEN find.problem IS NULL THEN billing.price_usage(
                m.tenant_id, m.channel, m.resource_type, m.quantity, m.destination, at.occurred_at
            )
            ELSE (find.problem, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::billing.priced_usage
        END
    FROM unnest(p_measured) AS m
    CROSS JOIN LATERAL (SELECT COALESCE(m.occurred_at, clock_timestamp())) AS at (occurred_at)
    CROSS JOIN LATERAL (SELECT billing.find_problem(m.quantity, m.resource_type)) AS find (problem);
$$;

COMMENT ON FUNCTION billing.price_measurements IS
'price_usage for a set: each measurement, its occurred_at filled in, with its price or problem.';
