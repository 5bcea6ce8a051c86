-- invoice: the usage records behind a line.
CREATE OR REPLACE FUNCTION billing.list_line_records(p_tenant_id bigint, p_line_id bigint)
RETURNS SETOF billing.usage_records
LANGUAGE sql
STABLE
AS $$
    WITH line AS MATERIALIZED (
        SELECT l.*, i.period_start, i.period_end, i.usage_cut, p AS price, billing.is_period_priced(p.charge_model) AS is_of_period
        FROM billing.invoice_line_items AS l
        INNER JOIN billing.invoices AS i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
        LEFT JOIN billing.pricing_rates AS p ON p.id = l.rate_id
        WHERE l.tenant_id = p_tenant_id
            AND l.id = p_line_id
    )
    SELECT r.*
    FROM line AS l
    INNER JOIN billing.usage_records AS r
        ON r.tenant_id = l.tenant_id
        AND r.usage_date BETWEEN l.period_start AND l.period_end
        AND r.channel = l.channel
        AND r.resource_type = l.resource_type
    INNER JOIN billing.pricing_rates AS p ON p.id = r.rate_id
    WHERE billing.covers(l.usage_cut, r.id, r.xact)
        AND CASE
            WHEN l.kind = 'credit' THEN true
            WHEN l.is_of_period THEN p.id = l.rate_id
            ELSE r.unit_cost = l.unit_price
                AND (p.initial_increment, p.billing_increment, p.connection_fee, p.minimum_charge, p.charge_model, p.terms,
                    p.calendar_id)
                    IS NOT DISTINCT FROM
                    ((l.price).initial_increment, (l.price).billing_increment, (l.price).connection_fee,
                    (l.price).minimum_charge, (l.price).charge_model, (l.price).terms, (l.price).calendar_id)
        END
    UNION ALL
    SELECT r.*
    FROM line AS l
    INNER JOIN billing.adjustments AS a
        ON a.tenant_id = l.tenant_id
        AND a.invoice_id = l.invoice_id
        AND a.description = l.description
        AND a.period_start = l.service_start
    INNER JOIN billing.invoices AS i ON i.tenant_id = a.tenant_id AND i.id = a.adjusted_invoice_id
    -- The cut before this one.
    CROSS JOIN LATERAL (
        SELECT COALESCE(
            (
                SELECT x.usage_cut
                FROM billing.adjustments AS x
                WHERE x.tenant_id = a.tenant_id
                    AND x.adjusted_invoice_id = a.adjusted_invoice_id
                    AND x.usage_changes < a.usage_changes
                ORDER BY x.usage_changes DESC
                LIMIT 1
            ),
            i.usage_cut
        ) AS cut
    ) AS before
    INNER JOIN billing.usage_records AS r
        ON r.tenant_id = a.tenant_id
        AND r.usage_date BETWEEN a.period_start AND a.period_end
    WHERE l.kind = 'adjustment'
        AND billing.covers(a.usage_cut, r.id, r.xact)
        AND NOT billing.covers(before.cut, r.id, r.xact);
$$;

COMMENT ON FUNCTION billing.list_line_records IS
'The usage records that line p_line_id bills: of a usage line those of its price, of what a plan includes those of its
resource, of an adjustment those that came since the invoice it corrects. None for fees, discounts and taxes.';
