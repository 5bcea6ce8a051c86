-- invoice: credit that pays for an invoice, as a negative line.
CREATE OR REPLACE FUNCTION billing.apply_credit(p_tenant_ids bigint[], p_invoice_ids bigint[], p_is_included boolean)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_invoice record;
    v_base record;
    v_amount numeric;
BEGIN
    -- Few have any.
    FOR v_invoice IN
        SELECT
            i.tenant_id, i.id, billing.currency_decimals(i.currency) AS decimals,
            billing.start_of_day(i.period_end + 1, COALESCE(t.timezone, 'UTC')) - interval '1 microsecond' AS used_by
        FROM billing.invoices AS i
        INNER JOIN public.tenants AS t ON t.id = i.tenant_id
        WHERE i.tenant_id = ANY (p_tenant_ids)
            AND i.id = ANY (p_invoice_ids)
            AND t.credit_balance > 0
        ORDER BY i.tenant_id, i.id
    LOOP
        SELECT
            COALESCE(sum(l.amount - COALESCE(l.exact_amount - l.taxable_amount, 0)), 0) AS amount,
            array_agg(l.id ORDER BY l.id) AS ids,
            array_agg(l.amount - COALESCE(l.exact_amount - l.taxable_amount, 0) ORDER BY l.id) AS amounts
        INTO v_base
        FROM billing.invoice_line_items AS l
        WHERE l.tenant_id = v_invoice.tenant_id
            AND l.invoice_id = v_invoice.id
            AND CASE
                WHEN p_is_included THEN l.taxable_amount IS NOT NULL AND l.kind IN ('usage', 'credit', 'adjustment')
                ELSE true
            END;
        IF NOT p_is_included THEN
            -- All that it asks for, taxes and discounts with it.
            SELECT sum(l.amount)
            INTO v_base.amount
            FROM billing.invoice_line_items AS l
            WHERE l.tenant_id = v_invoice.tenant_id
                AND l.invoice_id = v_invoice.id;
        END IF;
        CONTINUE WHEN (v_base.amount > 0) IS NOT TRUE;
        SELECT trunc(c.amount, v_invoice.decimals)
        INTO v_amount
        FROM billing.take_from_lots(
            v_invoice.tenant_id, v_base.amount, v_invoice.used_by, CASE WHEN p_is_included THEN 'usage' ELSE 'invoice' END
        ) AS c;
        CONTINUE WHEN v_amount = 0;

        IF p_is_included THEN
            UPDATE billing.invoice_line_items AS l
            SET taxable_amount = l.taxable_amount - s.share
            FROM unnest(v_base.ids, billing.split_amount(v_amount, v_base.amounts, v_invoice.decimals)) AS s (id, share)
            WHERE l.tenant_id = v_invoice.tenant_id
                AND l.invoice_id = v_invoice.id
                AND l.id = s.id;
        END IF;
        INSERT INTO billing.invoice_line_items (
            tenant_id, invoice_id, kind, description, quantity, unit_price, amount, exact_amount, is_prepaid
        )
        VALUES (
            v_invoice.tenant_id, v_invoice.id, 'credit', CASE WHEN p_is_included THEN 'Included credit' ELSE 'Prepaid credit' END,
            1, NULL, -v_amount, -v_amount, NOT p_is_included
        );
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.apply_credit IS
'Adds to these drafts the credit that pays for them. p_is_included: credit of kind included, before tax, for usage and its
adjustments, at most what is left of them (spread over those lines in minor units, so that each is taxed on what is left).
Else all other credit, after tax, for all that the invoice asks. pay_by_credit calls it.';
