-- record: what is kept of a measurement that has no price.
CREATE OR REPLACE FUNCTION billing.describe_problem(
    p_channel text,
    p_resource_type text,
    p_quantity numeric,
    p_occurred_at timestamptz
)
RETURNS jsonb
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT jsonb_build_object(
        'channel', p_channel,
        'resource_type', p_resource_type,
        'quantity', p_quantity::text,
        'occurred_at', p_occurred_at::text
    );
$$;

COMMENT ON FUNCTION billing.describe_problem IS
'unrated_usage.context of a measurement: enough to understand it, without personal data.';
