-- invoice: what was issued, as queries; no rows when all of it holds.
CREATE OR REPLACE FUNCTION billing.verify_invoices(p_from date DEFAULT NULL, p_to date DEFAULT NULL)
RETURNS TABLE (check_name text, subject text, detail text)
LANGUAGE sql
STABLE
AS $$
    SELECT
        'an issued invoice is as it was issued',
        format('invoice %s', i.id),
        CASE
            WHEN d.content_hash IS NULL THEN format('number %s is not in issued_documents', i.invoice_number)
            ELSE format('number %s: its content has another hash than when it was issued', i.invoice_number)
        END
    FROM billing.invoices AS i
    LEFT JOIN billing.issued_documents AS d ON d.tenant_id = i.tenant_id AND d.kind = 'invoice' AND d.document_id = i.id
    WHERE (i.invoice_number IS NOT NULL OR i.status NOT IN ('draft', 'void'))
        AND (p_from IS NULL OR (i.period_start <= p_to AND i.period_end >= p_from))
        AND d.content_hash IS DISTINCT FROM billing.hash_invoice(i.tenant_id, i.id)
    UNION ALL
    SELECT
        'an issued invoice is as it was issued',
        format('credit note %s', c.id),
        format('number %s: its content has another hash than when it was issued, or none', c.credit_note_number)
    FROM billing.credit_notes AS c
    INNER JOIN billing.invoices AS i ON i.tenant_id = c.tenant_id AND i.id = c.invoice_id
    LEFT JOIN billing.issued_documents AS d ON d.tenant_id = c.tenant_id AND d.kind = 'credit_note' AND d.document_id = c.id
    WHERE (p_from IS NULL OR (i.period_start <= p_to AND i.period_end >= p_from))
        AND d.content_hash IS DISTINCT FROM billing.hash_credit_note(c.tenant_id, c.id)
    UNION ALL
    -- The chain is of no day.
    SELECT
        'numbers are an unbroken chain',
        format('legal entity %s, %s%s', x.legal_entity_id, x.series, x.number),
        CASE
            WHEN x.number_before IS DISTINCT FROM x.number - 1 AND NOT (x.number = 1 AND x.number_before IS NULL)
                THEN format('the number before it is %s', COALESCE(x.number_before::text, 'none'))
            WHEN x.document_number IS NULL THEN 'its document is gone'
            ELSE 'its chain_hash does not follow from the one before'
        END
    FROM (
        SELECT
            d.*, COALESCE(i.invoice_number, c.credit_note_number) AS document_number,
            lag(d.number) OVER in_order AS number_before, lag(d.chain_hash) OVER in_order AS hash_before
        FROM billing.issued_documents AS d
        LEFT JOIN billing.invoices AS i ON d.kind = 'invoice' AND i.tenant_id = d.tenant_id AND i.id = d.document_id
        LEFT JOIN billing.credit_notes AS c ON d.kind = 'credit_note' AND c.tenant_id = d.tenant_id AND c.id = d.document_id
        WHERE p_from IS NULL
        WINDOW in_order AS (PARTITION BY d.legal_entity_id, d.series ORDER BY d.number)
    ) AS x
    WHERE COALESCE(x.number_before, 0) <> x.number - 1
        OR x.chain_hash IS DISTINCT FROM billing.chain_hash(
            COALESCE(x.hash_before, decode(repeat('00', 32), 'hex')), x.document_number, x.content_hash
        )
    UNION ALL
    SELECT
        'numbers are an unbroken chain',
        format('legal entity %s, %s', COALESCE(s.legal_entity_id, d.legal_entity_id), COALESCE(s.series, d.series)),
        format('the counter stands at %s, the last document has %s', s.last_number, d.number)
    FROM billing.number_series AS s
    FULL JOIN (
        SELECT DISTINCT ON (x.legal_entity_id, x.series) x.legal_entity_id, x.series, x.number, x.chain_hash
        FROM billing.issued_documents AS x
        ORDER BY x.legal_entity_id, x.series, x.number DESC
    ) AS d ON d.legal_entity_id = s.legal_entity_id AND d.series = s.series
    WHERE p_from IS NULL
        AND (s.last_number, s.last_hash) IS DISTINCT FROM (d.number, d.chain_hash)
    UNION ALL
    SELECT
        'an invoice is settled by what was paid and credited',
        format('invoice %s', i.id),
        format('%s, %s paid and %s credited of %s; payments settle %s, credit notes %s', i.status, i.amount_paid,
            i.amount_credited, i.total_amount, p.amount, c.amount)
    FROM billing.invoices AS i
    CROSS JOIN LATERAL (
        SELECT COALESCE(sum(x.amount - x.to_balance), 0)
        FROM billing.payments AS x
        WHERE x.tenant_id = i.tenant_id
            AND x.invoice_id = i.id
    ) AS p (amount)
    CROSS JOIN LATERAL (
        SELECT COALESCE(sum(x.total_amount - x.to_balance), 0), COALESCE(sum(x.total_amount), 0)
        FROM billing.credit_notes AS x
        WHERE x.tenant_id = i.tenant_id
            AND x.invoice_id = i.id
    ) AS c (amount, total)
    WHERE (p_from IS NULL OR (i.period_start <= p_to AND i.period_end >= p_from))
        AND (
            (i.amount_paid, i.amount_credited) IS DISTINCT FROM (p.amount, c.amount)
            OR (i.status IN ('pending', 'overdue') AND p.amount + c.amount >= i.total_amount)
            OR (i.status = 'paid' AND p.amount + c.amount < i.total_amount)
            OR c.total > (
                SELECT GREATEST(COALESCE(sum(l.amount), 0), 0)
                FROM billing.invoice_line_items AS l
                WHERE l.tenant_id = i.tenant_id
                    AND l.invoice_id = i.id
                    AND NOT l.is_prepaid
            )
        )
    UNION ALL
    -- Where nothing but calls and messages is charged for, what lines and adjustments bill is the sum of their records.
    SELECT
        'usage is billed once, on its invoice or an adjustment',
        format('invoice %s', i.id),
        format('its usage lines and adjustments bill %s, the records up to then cost %s', b.amount, r.amount)
    FROM billing.invoices AS i
    CROSS JOIN LATERAL (
        SELECT
            COALESCE((
                SELECT sum(l.exact_amount)
                FROM billing.invoice_line_items AS l
                WHERE l.tenant_id = i.tenant_id
                    AND l.invoice_id = i.id
                    AND l.kind = 'usage'
            ), 0) + COALESCE((
                SELECT sum(a.amount)
                FROM billing.adjustments AS a
                WHERE a.tenant_id = i.tenant_id
                    AND a.adjusted_invoice_id = i.id
            ), 0)
    ) AS b (amount)
    CROSS JOIN LATERAL (
        SELECT COALESCE(sum(u.total_cost), 0), COALESCE(bool_or(billing.is_period_priced(p.charge_model)), false)
        FROM billing.usage_records AS u
        LEFT JOIN billing.pricing_rates AS p ON p.id = u.rate_id
        WHERE u.tenant_id = i.tenant_id
            AND u.usage_date BETWEEN i.period_start AND i.period_end
            AND billing.covers(
                COALESCE(
                    (
                        SELECT a.usage_cut
                        FROM billing.adjustments AS a
                        WHERE a.tenant_id = i.tenant_id
                            AND a.adjusted_invoice_id = i.id
                        ORDER BY a.usage_changes DESC
                        LIMIT 1
                    ),
                    i.usage_cut
                ), u.id, u.xact
            )
    ) AS r (amount, has_period_prices)
    LEFT JOIN billing.pricing_plans AS n ON n.id = i.plan_id
    WHERE i.status IN ('pending', 'paid', 'overdue')
        AND (p_from IS NULL OR (i.period_start <= p_to AND i.period_end >= p_from))
        AND NOT r.has_period_prices
        AND num_nonnulls(n.minimum_spend, n.maximum_spend) = 0
        AND NOT EXISTS (SELECT FROM billing.plan_allowances AS w WHERE w.plan_id = i.plan_id)
        AND NOT EXISTS (
            SELECT
            FROM billing.invoice_line_items AS l
            INNER JOIN billing.pricing_rates AS q ON q.id = l.rate_id
            WHERE l.tenant_id = i.tenant_id
                AND l.invoice_id = i.id
                AND billing.is_period_priced(q.charge_model)
        )
        AND NOT EXISTS (
            SELECT
            FROM billing.detached_months AS d
            WHERE d.month <= i.period_end
                AND d.month + interval '1 month' > i.period_start
        )
        AND b.amount <> r.amount;
$$;

COMMENT ON FUNCTION billing.verify_invoices IS
'The checks of verify() that are about what was issued: content and chain of hashes, numbers without gap, payments and credit
notes, and that usage is billed once. p_from and p_to as verify, which calls it.';
