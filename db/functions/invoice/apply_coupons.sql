-- invoice: discounts, before tax.
CREATE OR REPLACE FUNCTION billing.apply_coupons(p_tenant_ids bigint[], p_invoice_ids bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_coupon_id bigint;
BEGIN
    -- One coupon after the other, in the order of their ids: each takes from what the one before has left.
    FOR v_coupon_id IN
        SELECT DISTINCT c.coupon_id
        FROM billing.tenant_coupons AS c
        WHERE c.tenant_id = ANY (p_tenant_ids)
        ORDER BY c.coupon_id
    LOOP
        WITH given AS (
            SELECT
                i.tenant_id, i.id AS invoice_id, c.description, c.percent, c.kind, c.channel,
                billing.currency_decimals(i.currency) AS decimals, c.amount
            FROM billing.coupons AS c
            INNER JOIN billing.tenant_coupons AS g ON g.coupon_id = c.id
            INNER JOIN billing.invoices AS i
                ON i.tenant_id = g.tenant_id
                AND i.period_start >= g.starts_on
                AND (g.ends_on IS NULL OR i.period_start <= g.ends_on)
            WHERE c.id = v_coupon_id
                AND g.tenant_id = ANY (p_tenant_ids)
                AND i.id = ANY (p_invoice_ids)
                AND (c.currency IS NULL OR c.currency = i.currency)
                AND (g.periods IS NULL OR g.periods > (
                    SELECT count(*)
                    FROM billing.invoices AS x
                    WHERE x.tenant_id = g.tenant_id
                        AND x.status IN ('pending', 'paid', 'overdue')
                        AND EXISTS (
                            SELECT
                            FROM billing.invoice_line_items AS y
                            WHERE y.tenant_id = x.tenant_id
                                AND y.invoice_id = x.id
                                AND y.coupon_id = v_coupon_id
                        )
                ))
        ),
        bases AS (
            SELECT g.*, b.base, LEAST(
                COALESCE(round(b.base * g.percent / 100, g.decimals), round(g.amount, g.decimals)), b.base
            ) AS discount
            FROM given AS g
            CROSS JOIN LATERAL (
                -- What is left of each line, as it is rounded.
                SELECT sum(l.amount - (l.exact_amount - l.taxable_amount))
                FROM billing.invoice_line_items AS l
                WHERE l.tenant_id = g.tenant_id
                    AND l.invoice_id = g.invoice_id
                    AND l.taxable_amount IS NOT NULL
                    AND billing.is_discounted(g.kind, g.channel, l.kind, l.channel)
            ) AS b (base)
            WHERE b.base > 0
        ),
        shares AS (
            SELECT l.tenant_id, l.invoice_id, l.id, s.share
            FROM bases AS b
            CROSS JOIN LATERAL (
                SELECT
                    array_agg(x.id ORDER BY x.id) AS ids,
                    billing.split_amount(
                        b.discount, array_agg(x.amount - (x.exact_amount - x.taxable_amount) ORDER BY x.id), b.decimals
                    ) AS shares
                FROM billing.invoice_line_items AS x
                WHERE x.tenant_id = b.tenant_id
                    AND x.invoice_id = b.invoice_id
                    AND x.taxable_amount IS NOT NULL
                    AND billing.is_discounted(b.kind, b.channel, x.kind, x.channel)
            ) AS a
            CROSS JOIN LATERAL unnest(a.ids, a.shares) AS s (id, share)
            INNER JOIN billing.invoice_line_items AS l
                ON l.tenant_id = b.tenant_id
                AND l.invoice_id = b.invoice_id
                AND l.id = s.id
            WHERE b.discount > 0
        ),
        spread AS (
            UPDATE billing.invoice_line_items AS l
            SET taxable_amount = l.taxable_amount - s.share
            FROM shares AS s
            WHERE l.tenant_id = s.tenant_id
                AND l.invoice_id = s.invoice_id
                AND l.id = s.id
        )
        INSERT INTO billing.invoice_line_items (
            tenant_id, invoice_id, kind, description, quantity, unit_price, amount, exact_amount, coupon_id
        )
        SELECT
            b.tenant_id, b.invoice_id, 'discount',
            CASE
                WHEN b.percent IS NULL THEN b.description
                ELSE format('%s, %s %% of %s', b.description, trim_scale(b.percent), round(b.base, b.decimals))
            END, 1, NULL, -b.discount,
            -b.discount, v_coupon_id
        FROM bases AS b
        WHERE b.discount > 0;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.apply_coupons IS
'Adds a discount line to these drafts for each coupon that holds for their period: a percentage of the lines it is for,
rounded once to the currency, or its amount, never more than those lines. It is spread over them in minor units by largest
remainder, and each is taxed on what is left.';
