-- invoice: which lots of credit pay for an invoice.
CREATE OR REPLACE FUNCTION billing.choose_lots(
    p_tenant_id bigint,
    p_used_by timestamptz,
    p_is_included boolean,
    p_amount numeric DEFAULT NULL,
    OUT lots bigint[],
    OUT amounts numeric[],
    OUT amount numeric
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        array_agg(t.lot_id ORDER BY t.line), array_agg(LEAST(t.amount, COALESCE(p_amount, t.amount + t.before) - t.before) ORDER BY t.line),
        COALESCE(sum(LEAST(t.amount, COALESCE(p_amount, t.amount + t.before) - t.before)), 0)
    FROM (
        SELECT u.lot_id, u.amount, u.line, sum(u.amount) OVER (ORDER BY u.line) - u.amount AS before
        FROM billing.take_from_lots(p_tenant_id, 1e30, p_used_by) AS l
        CROSS JOIN LATERAL unnest(l.lots, l.amounts) WITH ORDINALITY AS u (lot_id, amount, line)
        INNER JOIN billing.credit_entries AS e ON e.tenant_id = p_tenant_id AND e.id = u.lot_id
        WHERE (e.kind = 'included') = p_is_included
    ) AS t
    WHERE p_amount IS NULL
        OR t.before < p_amount;
$$;

COMMENT ON FUNCTION billing.choose_lots IS
'The lots of p_tenant_id that pay p_amount (NULL: all they have) of usage up to p_used_by, in consumption order: of the credit
that its plan includes, or of all other. What each pays, and what they pay together.';
