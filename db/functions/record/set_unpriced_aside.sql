-- record: keeps those of many measurements that have no price.
CREATE OR REPLACE FUNCTION billing.set_unpriced_aside(p_source_table text, p_measured billing.measurement[])
RETURNS void
LANGUAGE sql
AS $$
    SELECT billing.set_aside(
        p_source_table, p.source_id, p.part, p.tenant_id, p.problem, billing.problem_reason(p.problem),
        billing.describe_problem(p.channel, p.resource_type, p.measured, p.occurred_at)
    )
    FROM billing.price_measurements(p_measured) AS p
    WHERE p.problem IS NOT NULL;
$$;

COMMENT ON FUNCTION billing.set_unpriced_aside IS
'set_aside for each of p_measured that price_measurements reports a problem of, with enough of it to understand it. Called by
those who priced them, and planned as they are.';
