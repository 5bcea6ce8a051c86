-- credit: what an amount takes from which lots, in consumption order.
CREATE OR REPLACE FUNCTION billing.take_from_lots(
    p_tenant_id bigint,
    p_amount numeric,
    p_used_by timestamptz,
    p_for text DEFAULT NULL,
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
            SELECT l.line, l.entry_id, l.remaining - COALESCE(x.amount, 0) AS free
            FROM billing.list_credit_lots(p_tenant_id) WITH ORDINALITY AS l (
                entry_id, kind, priority, expires_at, amount, remaining, valid_from, line
            )
            LEFT JOIN billing.list_lapsed_credit(p_tenant_id) AS x USING (entry_id)
            WHERE l.remaining > 0
                AND (l.valid_from IS NULL OR l.valid_from <= p_used_by)
                AND CASE p_for
                    WHEN 'usage' THEN l.kind = 'included'
                    WHEN 'invoice' THEN l.kind <> 'included'
                    WHEN 'refund' THEN l.kind NOT IN ('included', 'grant')
                    ELSE true
                END
        ) AS f
        WHERE f.free > 0
    ) AS t
    WHERE t.before < p_amount;
$$;

COMMENT ON FUNCTION billing.take_from_lots IS
'The lots of p_tenant_id that pay p_amount for usage up to p_used_by, what each pays, and what they pay together: less than
p_amount where there is not so much. p_for: usage, of the credit that a plan includes; invoice, of all other; refund, of what
was not given; NULL, of any. A lot that has expired pays what usage of its time still needs, entered as expired or not.';
