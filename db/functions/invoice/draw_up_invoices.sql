-- invoice: draws up drafts, any number at once.
CREATE OR REPLACE FUNCTION billing.draw_up_invoices(
    p_tenant_ids bigint[],
    p_from date[],
    p_to date[],
    p_anew boolean DEFAULT false
)
RETURNS void
LANGUAGE plpgsql
SET jit = off
AS $$
DECLARE
    v_cut billing.usage_cut;
    v_ids bigint[];
BEGIN
    -- A draft of other days stands in the way where the billing day was moved: drafts are drawn up freely.
    UPDATE billing.adjustments AS a
    SET invoice_id = NULL
    FROM unnest(p_tenant_ids) AS x (tenant_id)
    INNER JOIN billing.invoices AS i ON i.tenant_id = x.tenant_id AND i.status = 'draft'
    WHERE a.tenant_id = i.tenant_id
        AND a.invoice_id = i.id;
    DELETE FROM billing.invoices AS i
    USING unnest(p_tenant_ids, p_from, p_to) AS x (tenant_id, from_date, to_date)
    WHERE i.tenant_id = x.tenant_id
        AND i.status = 'draft'
        AND i.period_start <= x.to_date
        AND i.period_end >= x.from_date
        AND (i.period_start, i.period_end) <> (x.from_date, x.to_date);
    BEGIN
        INSERT INTO billing.invoices (tenant_id, period_start, period_end, currency)
        SELECT x.tenant_id, x.from_date, x.to_date, COALESCE(t.currency, 'USD')
        FROM unnest(p_tenant_ids, p_from, p_to) AS x (tenant_id, from_date, to_date)
        INNER JOIN public.tenants AS t ON t.id = x.tenant_id
        WHERE NOT EXISTS (
            SELECT
            FROM billing.invoices AS i
            WHERE i.tenant_id = x.tenant_id
                AND i.status <> 'void'
                AND i.period_start = x.from_date
        )
        ORDER BY x.tenant_id, x.from_date;
    EXCEPTION
        WHEN exclusion_violation THEN
            -- Drawn up since this transaction's snapshot was taken.
            RAISE serialization_failure USING
                MESSAGE = 'could not serialize access: this period was invoiced since the transaction began',
                HINT = 'The transaction might succeed if retried.';
    END;

    PERFORM billing.collect_adjustments(p_tenant_ids);
    v_cut := billing.add_up_prices(p_tenant_ids, p_from, p_to, p_anew);

    UPDATE billing.invoices AS i
    SET
        currency = COALESCE(t.currency, 'USD'),
        legal_entity_id = COALESCE(b.legal_entity_id, 1),
        plan_id = (
            SELECT y.plan_id
            FROM billing.tenant_terms AS y
            WHERE y.tenant_id = i.tenant_id
                AND y.valid_from < LEAST(billing.start_of_day(i.period_end + 1, COALESCE(t.timezone, 'UTC')), b.service_end)
            ORDER BY y.valid_from DESC
            LIMIT 1
        ),
        usage_cut = v_cut,
        usage_changes = (
            SELECT COALESCE(sum(d.changes), 0)
            FROM (
                SELECT DISTINCT p.usage_date, p.channel, p.resource_type, p.changes
                FROM billing.price_sums_by_day AS p
                WHERE p.tenant_id = i.tenant_id
                    AND p.usage_date BETWEEN i.period_start AND i.period_end
            ) AS d
        )
    FROM unnest(p_tenant_ids, p_from) AS x (tenant_id, from_date)
    INNER JOIN public.tenants AS t ON t.id = x.tenant_id
    LEFT JOIN billing.tenant_billing AS b ON b.tenant_id = x.tenant_id
    WHERE i.tenant_id = x.tenant_id
        AND i.period_start = x.from_date
        AND i.status = 'draft';
    v_ids := ARRAY(
        SELECT i.id
        FROM unnest(p_tenant_ids, p_from) AS x (tenant_id, from_date)
        INNER JOIN billing.invoices AS i ON i.tenant_id = x.tenant_id AND i.period_start = x.from_date AND i.status = 'draft'
    );

    -- What changed on invoices issued before.
    UPDATE billing.adjustments AS a
    SET invoice_id = i.id
    FROM billing.invoices AS i
    WHERE i.id = ANY (v_ids)
        AND i.tenant_id = ANY (p_tenant_ids)
        AND a.tenant_id = i.tenant_id
        AND a.invoice_id IS NULL
        AND a.period_end < i.period_start;

    DELETE FROM billing.invoice_line_items
    WHERE tenant_id = ANY (p_tenant_ids)
        AND invoice_id = ANY (v_ids);
    INSERT INTO billing.invoice_line_items (
        tenant_id, invoice_id, kind, channel, resource_type, description, quantity, unit_price, amount, exact_amount,
        taxable_amount, rate_id, plan_id, recurring_charge_id, service_start, service_end
    )
    SELECT
        i.tenant_id, i.id, l.kind, l.channel, l.resource_type, l.description, l.quantity, l.unit_price,
        round(l.amount, billing.currency_decimals(i.currency)), l.amount, l.amount, l.rate_id, l.plan_id,
        l.recurring_charge_id, l.service_start, l.service_end
    FROM billing.invoices AS i
    INNER JOIN public.tenants AS t ON t.id = i.tenant_id
    CROSS JOIN LATERAL billing.list_lines(
        i.tenant_id, i.id, i.period_start, i.period_end, i.plan_id, i.currency, COALESCE(t.timezone, 'UTC'),
        COALESCE(t.billing_cycle_day, 1)
    ) AS l
    WHERE i.id = ANY (v_ids)
        AND i.tenant_id = ANY (p_tenant_ids)
    ORDER BY i.tenant_id, i.id, l.part, l.channel, l.resource_type, l.unit_price, l.rate_id, l.service_start, l.description;

    PERFORM billing.apply_coupons(p_tenant_ids, v_ids);
    PERFORM billing.apply_taxes(p_tenant_ids, v_ids);
    PERFORM billing.total_invoices(p_tenant_ids, v_ids);
    UPDATE billing.invoices AS i
    SET total_before_credit = i.total_amount
    WHERE i.tenant_id = ANY (p_tenant_ids)
        AND i.id = ANY (v_ids);
END;
$$;

COMMENT ON FUNCTION billing.draw_up_invoices IS
'Draws up the drafts of these periods anew: fees, usage, what plans include and limit, recurring charges, what changed on
earlier invoices, discounts and taxes. Credit pays for them when they are issued. p_anew: adds up all records, whatever was added up before. Its caller holds
lock_invoicing, and has asked find_invoice_problems.';
