-- invoice: the error that usage has no price on a plan.
CREATE OR REPLACE FUNCTION billing.refuse_unpriced(
    p_plan_name text,
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_record_count bigint
)
RETURNS numeric
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
AS $$
BEGIN
    RAISE EXCEPTION 'usage has no price on this plan'
        USING ERRCODE = 'UB001',
            DETAIL = format('%s records %s/%s of tenant %s, on plan %s.',
                p_record_count, p_channel, p_resource_type, p_tenant_id, p_plan_name),
            HINT = billing.problem_hint('UB001');
END;
$$;

COMMENT ON FUNCTION billing.refuse_unpriced IS
'Raises UB001. Stands where an amount is wanted and there is none, so that nothing is ever counted as free.';
