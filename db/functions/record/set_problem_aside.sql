-- record: keeps a measurement that has no price.
CREATE OR REPLACE FUNCTION billing.set_problem_aside(
    p_source_table text,
    p_measured billing.measurement,
    p_problem text
)
RETURNS void
LANGUAGE sql
AS $$
    SELECT billing.set_aside(
        p_source_table, p_measured.source_id, p_measured.part, p_measured.tenant_id,
        p_problem, billing.problem_reason(p_problem),
        billing.describe_problem(
            p_measured.channel, p_measured.resource_type, p_measured.quantity, p_measured.occurred_at
        )
    );
$$;

COMMENT ON FUNCTION billing.set_problem_aside IS
'set_aside for what price_usage reported: the SQLSTATE p_problem, and enough of the measurement to understand it.';
