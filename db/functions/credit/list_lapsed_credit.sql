-- credit: what has lapsed of lots that expired, and is not entered as expiry yet.
CREATE OR REPLACE FUNCTION billing.list_lapsed_credit(p_tenant_id bigint, p_as_of timestamptz DEFAULT now())
RETURNS TABLE (entry_id bigint, amount numeric)
LANGUAGE plpgsql
STABLE
ROWS 1
AS $$
DECLARE
    v_lots bigint[];
    v_left numeric[];
    v_from timestamptz[];
    v_until timestamptz[];
    v_bounds timestamptz[];
    v_bound timestamptz;
    v_usage numeric;
    v_known numeric := 0;
    v_open numeric;
    v_take numeric;
BEGIN
    IF NOT EXISTS (
        SELECT FROM billing.credit_entries AS e WHERE e.tenant_id = p_tenant_id AND e.expires_at <= p_as_of
    ) THEN
        RETURN;
    END IF;
    SELECT
        array_agg(l.entry_id ORDER BY l.line), array_agg(l.remaining ORDER BY l.line), array_agg(l.valid_from ORDER BY l.line),
        array_agg(l.expires_at ORDER BY l.line)
    INTO v_lots, v_left, v_from, v_until
    FROM billing.list_credit_lots(p_tenant_id, p_as_of) WITH ORDINALITY AS l (
        entry_id, kind, priority, expires_at, amount, remaining, valid_from, line
    )
    WHERE l.remaining > 0;

    v_bound := (SELECT max(u) FROM unnest(v_until) AS u WHERE u <= p_as_of);
    IF v_bound IS NULL THEN
        RETURN;
    END IF;
    v_bounds := ARRAY(
        SELECT DISTINCT b FROM unnest(v_from || v_until) AS b WHERE b <= v_bound ORDER BY b
    );

    -- Usage is paid in the order in which it occurred, by the lots that were valid then, in consumption order.
    FOREACH v_bound IN ARRAY v_bounds LOOP
        v_usage := billing.open_usage(p_tenant_id, p_as_of, v_bound - interval '1 microsecond');
        v_open := v_usage - v_known;
        CONTINUE WHEN v_open <= 0;
        v_known := v_usage;
        FOR v_i IN 1 .. cardinality(v_lots) LOOP
            CONTINUE WHEN v_from[v_i] >= v_bound OR v_until[v_i] < v_bound;
            v_take := LEAST(v_left[v_i], v_open);
            v_left[v_i] := v_left[v_i] - v_take;
            v_open := v_open - v_take;
        END LOOP;
    END LOOP;

    RETURN QUERY
    SELECT l.entry_id, l.amount
    FROM unnest(v_lots, v_left, v_until) AS l (entry_id, amount, expires_at)
    WHERE l.expires_at <= p_as_of
        AND l.amount > 0;
END;
$$;

COMMENT ON FUNCTION billing.list_lapsed_credit IS
'Of each lot of p_tenant_id that expired by p_as_of: what is neither taken by an entry of that time nor needed by usage that
occurred before it expired and is not yet invoiced. Usage is paid in the order of occurring, by the lots valid then, in
consumption order. Such credit is no longer on the balance; expire_credit enters it. Raises UB002.';
