-- operate: a re-rating, charge by charge.
CREATE OR REPLACE FUNCTION billing.get_rerating(p_proposal_id bigint)
RETURNS TABLE (
    tenant_id bigint,
    record_id bigint,
    usage_date date,
    channel text,
    resource_type text,
    resource_id text,
    quantity numeric,
    old_rate_id bigint,
    new_rate_id bigint,
    old_cost numeric,
    new_cost numeric,
    difference numeric,
    problem text,
    new_record_id bigint
)
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM billing.rerating_proposals WHERE id = p_proposal_id) THEN
        RAISE EXCEPTION 'unknown proposal'
            USING ERRCODE = 'UB011',
                DETAIL = format('There is no re-rating proposal %s.', COALESCE(p_proposal_id::text, 'NULL')),
                HINT = 'billing.rerating_proposals lists them; billing.propose_rerating makes one.';
    END IF;
    RETURN QUERY
    SELECT
        d.tenant_id, d.record_id, d.usage_date, r.channel, r.resource_type, r.resource_id, r.quantity::numeric,
        d.old_rate_id, d.new_rate_id, d.old_cost, d.new_cost, d.new_cost - d.old_cost, d.problem, d.new_record_id
    FROM billing.rerating_differences AS d
    LEFT JOIN billing.usage_records AS r
        ON r.tenant_id = d.tenant_id
        AND r.created_at = d.record_created_at
        AND r.id = d.record_id
        AND r.usage_date = d.usage_date
    WHERE d.proposal_id = p_proposal_id
    ORDER BY d.tenant_id, d.usage_date, d.record_id;
END;
$$;

COMMENT ON FUNCTION billing.get_rerating IS
'Each charge that proposal p_proposal_id changes: what it cost and would cost, exact, in major units of its currency (0 for
what a period prices), and once applied the record in its place. problem: why there is no new price; NULL: there is one.
channel to quantity NULL: the month of the charge was detached since. Raises UB011.';
