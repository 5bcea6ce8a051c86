-- operate: what the usage of some days would cost by the prices entered since, kept as a difference.
CREATE OR REPLACE FUNCTION billing.propose_rerating(p_from date, p_to date, p_tenant_id bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
-- The one statement below is long enough without being compiled.
SET jit = off
AS $$
DECLARE
    v_proposal_id bigint;
BEGIN
    IF (p_from <= p_to AND isfinite(p_from) AND isfinite(p_to)) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad range of days'
            USING ERRCODE = 'UB012',
                DETAIL = format('From %s to %s.', p_from, p_to),
                HINT = 'p_from is not after p_to; both are included.';
    END IF;
    IF p_tenant_id IS NOT NULL THEN
        PERFORM billing.require_tenant(p_tenant_id);
    END IF;
    PERFORM billing.require_attached_months(p_from, p_to);

    INSERT INTO billing.rerating_proposals (tenant_id, from_date, to_date)
    VALUES (p_tenant_id, p_from, p_to)
    RETURNING id INTO v_proposal_id;

    INSERT INTO billing.rerating_differences (
        tenant_id, proposal_id, record_id, record_created_at, usage_date, old_rate_id, old_cost,
        new_rate_id, new_unit_cost, new_billed_quantity, new_cost, problem
    )
    SELECT
        u.tenant_id, v_proposal_id, u.id, u.created_at, u.usage_date, u.rate_id, u.total_cost,
        f.rate_id, f.unit_price, c.billed_quantity, c.total_cost, CASE WHEN f.rate_id IS NULL THEN 'UB001' END
    FROM billing.usage_records AS u
    -- What held for the tenant then: its plan may be another by now.
    LEFT JOIN LATERAL (
        SELECT x.cards, x.currency
        FROM billing.tenant_terms AS x
        WHERE x.tenant_id = u.tenant_id
            AND x.valid_from <= u.occurred_at
        ORDER BY x.valid_from DESC
        LIMIT 1
    ) AS t ON true
    LEFT JOIN LATERAL billing.find_price(
        t.cards, u.channel, u.resource_type, u.destination, u.occurred_at, t.currency
    ) AS f ON true
    LEFT JOIN LATERAL billing.apply_price(
        f.rate_id, f.unit_price, f.initial_increment, f.billing_increment, f.connection_fee, f.minimum_charge, f.by_terms,
        u.resource_type, COALESCE(u.seconds, u.quantity), u.occurred_at
    ) AS c ON f.rate_id IS NOT NULL
    WHERE u.usage_date BETWEEN p_from AND p_to
        AND (p_tenant_id IS NULL OR u.tenant_id = p_tenant_id)
        AND u.kind = 'charge'
        AND (f.rate_id, f.unit_price, c.billed_quantity, c.total_cost)
            IS DISTINCT FROM (u.rate_id, u.unit_cost, u.billed_quantity, u.total_cost)
        -- Of a number that is forgotten too little may be left to find a price again that was for nearly all of it.
        AND NOT (strpos(u.destination, '***') > 0 AND NOT EXISTS (
            SELECT FROM billing.pricing_rates AS o WHERE o.id = u.rate_id AND starts_with(u.destination, o.prefix)
        )) IS TRUE
        -- The charge stands: its chain ends with it, or it is the one recorded by hand.
        AND CASE WHEN u.source_id IS NULL THEN EXISTS (
            SELECT
            FROM billing.direct_usage AS d
            WHERE d.tenant_id = u.tenant_id
                AND d.channel = u.channel
                AND d.resource_type = u.resource_type
                AND d.resource_id = u.resource_id
                AND d.record_id = u.id
                AND d.reversed_at IS NULL
        ) ELSE NOT EXISTS (
            SELECT
            FROM billing.usage_records AS x
            WHERE x.source_id = u.source_id
                AND x.source_table = u.source_table
                AND x.part = u.part
                AND x.usage_date = u.usage_date
                AND x.revision = u.revision + 1
                AND x.tenant_id = u.tenant_id
        ) END;
    RETURN v_proposal_id;
END;
$$;

COMMENT ON FUNCTION billing.propose_rerating IS
'Keeps in rerating_differences every charge that stands with a usage_date from p_from to p_to (both included; of p_tenant_id,
NULL: of every tenant) and that would be charged otherwise by the prices as they are entered now, at the time it occurred:
another rate, unit cost, billed quantity or cost. Changes nothing; the proposal''s id. A charge that has no price any more
is listed with problem UB001. Raises UB002, UB006 (a month is detached), UB012.';
