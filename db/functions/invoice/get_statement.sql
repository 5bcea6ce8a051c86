-- invoice: a tenant's statement of account.
CREATE OR REPLACE FUNCTION billing.get_statement(p_tenant_id bigint, p_from date, p_to date)
RETURNS TABLE (
    happened_on date,
    event text,
    invoice_id bigint,
    document text,
    amount numeric,
    to_credit numeric,
    balance numeric,
    currency text
)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_tenant record;
BEGIN
    SELECT * INTO v_tenant FROM billing.require_tenant(p_tenant_id);
    IF (p_from <= p_to AND isfinite(p_from) AND isfinite(p_to)) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad range of days'
            USING ERRCODE = 'UB012',
                DETAIL = format('From %s to %s.', p_from, p_to),
                HINT = 'p_from is not after p_to; both are included.';
    END IF;
    RETURN QUERY
    WITH entries AS (
        SELECT
            (e.happened_at AT TIME ZONE v_tenant.timezone)::date AS day, e.id, e.event, e.invoice_id, e.detail,
            CASE e.event
                WHEN 'payment' THEN p.to_balance - p.amount
                WHEN 'credit_note' THEN c.to_balance - c.total_amount
                -- Less than nothing became credit at once.
                WHEN 'issued' THEN GREATEST(e.amount, 0)
                WHEN 'void' THEN e.amount
                ELSE 0
            END AS amount,
            CASE e.event
                WHEN 'payment' THEN p.to_balance
                WHEN 'credit_note' THEN c.to_balance
                WHEN 'refund' THEN p.to_balance
                WHEN 'issued' THEN GREATEST(-e.amount, 0)
                ELSE 0
            END AS to_credit
        FROM billing.invoice_events AS e
        LEFT JOIN billing.payments AS p ON e.event IN ('payment', 'refund') AND p.tenant_id = e.tenant_id AND p.reference = e.detail
        LEFT JOIN billing.credit_notes AS c
            ON e.event = 'credit_note'
            AND c.tenant_id = e.tenant_id
            AND c.credit_note_number = e.detail
        WHERE e.tenant_id = p_tenant_id
            AND e.event IN ('issued', 'payment', 'refund', 'credit_note', 'void')
    ),
    lines AS (
        SELECT p_from AS day, 0::bigint AS id, 'opening balance' AS event, NULL::bigint AS invoice_id, NULL::text AS detail,
            COALESCE(sum(e.amount), 0) AS amount, 0::numeric AS to_credit
        FROM entries AS e
        WHERE e.day < p_from
        UNION ALL
        SELECT e.*
        FROM entries AS e
        WHERE e.day BETWEEN p_from AND p_to
    )
    SELECT
        l.day, l.event, l.invoice_id, l.detail, l.amount, l.to_credit, sum(l.amount) OVER (ORDER BY l.day, l.id),
        v_tenant.currency
    FROM lines AS l
    ORDER BY l.day, l.id;
END;
$$;

COMMENT ON FUNCTION billing.get_statement IS
'What p_tenant_id was asked for and what settled it from p_from to p_to (days in its zone, both included), in order, after the
balance before: amount changes what is open, balance is what is open then, to_credit what became (or of a refund came out of)
credit. document: the number or reference. Major units of currency. Raises UB002, UB012.';
