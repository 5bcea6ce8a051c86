-- credit: what usage that is not yet invoiced leaves of each lot.
CREATE OR REPLACE FUNCTION billing.list_unused_credit(p_tenant_id bigint, p_as_of timestamptz, p_until timestamptz)
RETURNS TABLE (entry_id bigint, expires_at timestamptz, amount numeric)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_lots bigint[];
    v_left numeric[];
    v_from timestamptz[];
    v_until timestamptz[];
    v_bound timestamptz;
    v_usage numeric;
    v_known numeric := 0;
    v_open numeric;
    v_take numeric;
BEGIN
    SELECT
        array_agg(l.entry_id ORDER BY l.line), array_agg(l.remaining ORDER BY l.line), array_agg(l.valid_from ORDER BY l.line),
        array_agg(l.expires_at ORDER BY l.line)
    INTO v_lots, v_left, v_from, v_until
    FROM billing.list_credit_lots(p_tenant_id, p_as_of) WITH ORDINALITY AS l (
        entry_id, kind, priority, expires_at, amount, remaining, valid_from, line
    )
    WHERE l.remaining > 0;

    -- Between two bounds the same lots are valid.
    FOR v_bound IN
        SELECT DISTINCT b FROM unnest(v_from || v_until || p_until) AS b WHERE b <= p_until ORDER BY b
    LOOP
        v_usage := billing.open_usage(p_tenant_id, p_as_of, v_bound - interval '1 microsecond') + COALESCE((
            SELECT sum(r.amount)
            FROM billing.reservations AS r
            WHERE r.tenant_id = p_tenant_id
                AND r.outcome IS DISTINCT FROM 'settled'
                AND r.expires_at > p_as_of
                AND r.created_at < v_bound
        ), 0);
        v_open := v_usage - v_known;
        CONTINUE WHEN v_open <= 0;
        v_known := v_usage;
        FOR v_i IN 1 .. COALESCE(cardinality(v_lots), 0) LOOP
            CONTINUE WHEN v_from[v_i] >= v_bound OR v_until[v_i] < v_bound;
            v_take := LEAST(v_left[v_i], v_open);
            v_left[v_i] := v_left[v_i] - v_take;
            v_open := v_open - v_take;
        END LOOP;
    END LOOP;

    RETURN QUERY
    SELECT *
    FROM unnest(v_lots, v_until, v_left) AS l (entry_id, expires_at, amount)
    WHERE l.amount > 0;
END;
$$;

COMMENT ON FUNCTION billing.list_unused_credit IS
'Of each lot that p_tenant_id has at p_as_of: what no entry has taken, and neither usage before p_until that is not yet
invoiced nor reservations made before it need. Usage is paid in the order in which it occurred, by the lots valid then, in
consumption order. Major units of the tenant''s currency. Raises UB002.';
