-- credit: what an amount takes from which lots, in consumption order.
CREATE OR REPLACE FUNCTION billing.take_from_lots(
    p_tenant_id bigint,
    p_amount numeric,
    p_used_by timestamptz,
    OUT lots bigint[],
    OUT amounts numeric[],
    OUT amount numeric
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        array_agg(t.entry_id ORDER BY t.line), array_agg(LEAST(t.free, p_amount - t.before) ORDER BY t.line),
        COALESCE(sum(LEAST(t.free, p_amount - t.before)), 0)
    FROM (
        SELECT f.*, sum(f.free) OVER (ORDER BY f.line) - f.free AS before
        FROM (
            SELECT
                l.line, l.entry_id,
                l.remaining - CASE WHEN l.expires_at <= p_used_by THEN COALESCE(x.amount, 0) ELSE 0 END AS free
            FROM billing.list_credit_lots(p_tenant_id) WITH ORDINALITY AS l (
                entry_id, kind, priority, expires_at, amount, remaining, valid_from, line
            )
            LEFT JOIN billing.list_lapsed_credit(p_tenant_id) AS x USING (entry_id)
            WHERE l.remaining > 0
                AND (l.valid_from IS NULL OR l.valid_from <= p_used_by)
        ) AS f
        WHERE f.free > 0
    ) AS t
    WHERE t.before < p_amount;
$$;

COMMENT ON FUNCTION billing.take_from_lots IS
'The lots of p_tenant_id that pay p_amount for usage up to p_used_by, what each pays, and what they pay together: less than
p_amount where there is not so much. A lot that expired before p_used_by pays what usage of its time still needs.';
