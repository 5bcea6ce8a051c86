-- invoice: draws up the draft of a period, or draws it up again.
CREATE OR REPLACE FUNCTION billing.generate_invoice(p_tenant_id bigint, p_period_start date)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_tenant record;
    v_plan billing.pricing_plans;
    v_invoice billing.invoices;
    v_start date;
    v_end date;
    v_unrated bigint;
    v_decimals integer;
    v_usage billing.period_charge[];
BEGIN
    SELECT * INTO v_tenant FROM billing.require_tenant(p_tenant_id);
    IF (p_period_start BETWEEN '0001-01-01' AND '9999-12-31') IS NOT TRUE THEN
        RAISE EXCEPTION 'no period to invoice'
            USING ERRCODE = 'UB012',
                DETAIL = format('p_period_start is %s.', COALESCE(p_period_start::text, 'NULL')),
                HINT = 'Give the first day of a billing period, as get_billing_period shows it.';
    END IF;
    v_start := billing.period_starting_by(p_period_start, v_tenant.billing_cycle_day);
    v_end := billing.period_starting_by(v_start + 32, v_tenant.billing_cycle_day) - 1;
    v_decimals := billing.currency_decimals(v_tenant.currency);

    -- One at a time for a tenant: the second waits, and finds the invoice of the first.
    PERFORM pg_advisory_xact_lock(hashtextextended('billing.generate_invoice', p_tenant_id));

    SELECT *
    INTO v_invoice
    FROM billing.invoices
    WHERE tenant_id = p_tenant_id
        AND period_start = v_start
        AND status <> 'void';
    IF v_invoice.status <> 'draft' THEN
        RETURN v_invoice.id;
    END IF;

    -- Where money leaves the house we fail closed.
    SELECT count(*)
    INTO v_unrated
    FROM billing.unrated_usage
    WHERE tenant_id = p_tenant_id
        AND resolved_at IS NULL;
    IF v_unrated > 0 THEN
        RAISE EXCEPTION 'usage of this tenant is not rated yet'
            USING ERRCODE = 'UB006',
                DETAIL = format('%s rows of tenant %s are open in billing.unrated_usage.', v_unrated, p_tenant_id),
                HINT = 'Mend what their reason says, run billing.retry_unrated(), and generate the invoice again.';
    END IF;

    PERFORM billing.require_attached_months(v_start, v_end);

    SELECT * INTO v_plan FROM billing.pricing_plans WHERE id = v_tenant.plan_id;
    IF v_plan.currency <> v_tenant.currency
        AND (
            v_plan.monthly_base_fee > 0
            OR num_nonnulls(v_plan.minimum_spend, v_plan.maximum_spend) > 0
            OR EXISTS (SELECT FROM billing.plan_allowances WHERE plan_id = v_plan.id)
        )
    THEN
        RAISE EXCEPTION 'the plan''s terms are in another currency'
            USING ERRCODE = 'UB005',
                DETAIL = format('Plan %s is in %s, tenant %s in %s.', v_plan.name, v_plan.currency, p_tenant_id, v_tenant.currency),
                HINT = 'Give the tenant a plan in its own currency.';
    END IF;

    IF v_invoice.id IS NULL AND EXISTS (
        SELECT
        FROM billing.invoices AS i
        WHERE i.tenant_id = p_tenant_id
            AND i.status <> 'void'
            AND i.period_start <= v_end
            AND i.period_end >= v_start
    ) THEN
        RAISE EXCEPTION 'days of this period are on another invoice'
            USING ERRCODE = 'UB006',
                DETAIL = format('The period is %s to %s.', v_start, v_end),
                HINT = 'Void the other invoice first, or choose a period after it.';
    END IF;

    IF v_invoice.id IS NULL THEN
        BEGIN
            INSERT INTO billing.invoices (tenant_id, period_start, period_end, currency)
            VALUES (p_tenant_id, v_start, v_end, v_tenant.currency)
            RETURNING * INTO v_invoice;
        EXCEPTION
            WHEN exclusion_violation THEN
                -- Drawn up since this transaction's snapshot was taken.
                RAISE serialization_failure USING
                    MESSAGE = 'could not serialize access: this period was invoiced since the transaction began',
                    HINT = 'The transaction might succeed if retried.';
        END;
    END IF;
    DELETE FROM billing.invoice_line_items
    WHERE tenant_id = p_tenant_id
        AND invoice_id = v_invoice.id;

    IF v_plan.monthly_base_fee > 0 THEN
        INSERT INTO billing.invoice_line_items (tenant_id, invoice_id, kind, description, quantity, unit_price, amount)
        VALUES (
            p_tenant_id, v_invoice.id, 'plan_fee', format('%s, monthly fee', v_plan.display_name),
            1, v_plan.monthly_base_fee, round(v_plan.monthly_base_fee, v_decimals)
        );
    END IF;

    v_usage := ARRAY(
        SELECT u
        FROM billing.list_invoice_usage(
            p_tenant_id, v_start, v_end,
            ((v_end + 1)::timestamp AT TIME ZONE v_tenant.timezone) - interval '1 microsecond'
        ) AS u
    );
    INSERT INTO billing.invoice_line_items (
        tenant_id, invoice_id, kind, channel, resource_type, description, quantity, unit_price, amount
    )
    SELECT
        p_tenant_id, v_invoice.id, c.kind, c.channel, c.resource_type, billing.describe_charge(c), c.quantity,
        c.unit_price, round(c.amount, v_decimals)
    FROM (
        SELECT * FROM unnest(v_usage)
        UNION ALL
        SELECT * FROM billing.price_plan_terms(v_plan.id, v_tenant.currency, v_start, true, v_usage, v_decimals)
    ) AS c;

    -- What changed on invoices issued before.
    UPDATE billing.adjustments
    SET invoice_id = v_invoice.id
    WHERE tenant_id = p_tenant_id
        AND invoice_id IS NULL
        AND period_end < v_start;
    INSERT INTO billing.invoice_line_items (tenant_id, invoice_id, kind, description, quantity, unit_price, amount)
    SELECT p_tenant_id, v_invoice.id, 'adjustment', a.description, 1, NULL, round(a.amount, v_decimals)
    FROM billing.adjustments AS a
    WHERE a.tenant_id = p_tenant_id
        AND a.invoice_id = v_invoice.id
    ORDER BY a.id;

    UPDATE billing.invoices AS i
    SET subtotal = sums.subtotal, tax = sums.tax, total_amount = sums.subtotal + sums.tax
    FROM (
        SELECT
            COALESCE(sum(amount) FILTER (WHERE kind <> 'tax'), 0) AS subtotal,
            COALESCE(sum(amount) FILTER (WHERE kind = 'tax'), 0) AS tax
        FROM billing.invoice_line_items
        WHERE tenant_id = p_tenant_id
            AND invoice_id = v_invoice.id
    ) AS sums
    WHERE i.tenant_id = p_tenant_id
        AND i.id = v_invoice.id;
    RETURN v_invoice.id;
END;
$$;

COMMENT ON FUNCTION billing.generate_invoice IS
'Draws up the draft invoice of the billing period that holds p_period_start, and gives its id: the plan''s fee, and a
line for each channel, resource and price, what the plan includes, its minimum or maximum spend, and adjustments of
periods invoiced before. Again draws the same draft up anew; an invoice past its draft is left
as it is. Refuses with UB006 while usage of the tenant is unrated. Raises UB002, UB005,
UB006, UB012.';
