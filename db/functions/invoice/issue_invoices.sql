-- invoice: drafts become invoices.
CREATE OR REPLACE FUNCTION billing.issue_invoices(p_tenant_ids bigint[], p_invoice_ids bigint[], p_at timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_invoices record;
BEGIN
    PERFORM billing.pay_by_credit(p_tenant_ids, p_invoice_ids);

    -- All but the number, so that the hash of the content is known before the counter is locked.
    UPDATE billing.invoices AS i
    SET
        finalized_at = p_at,
        due_date = (p_at AT TIME ZONE COALESCE(t.timezone, 'UTC'))::date + COALESCE(b.payment_days, e.payment_days),
        parties = jsonb_build_object(
            'seller', jsonb_build_object('name', e.name, 'address', e.address, 'tax_number', e.tax_number),
            'buyer', jsonb_build_object(
                'name', COALESCE(b.billing_name, to_jsonb(t) ->> 'company_name', to_jsonb(t) ->> 'name'),
                'address', b.billing_address, 'tax_number', b.tax_number
            )
        )
    FROM public.tenants AS t
    LEFT JOIN billing.tenant_billing AS b ON b.tenant_id = t.id
    CROSS JOIN billing.legal_entities AS e
    WHERE i.tenant_id = ANY (p_tenant_ids)
        AND i.id = ANY (p_invoice_ids)
        AND i.status = 'draft'
        AND t.id = i.tenant_id
        AND e.id = i.legal_entity_id;

    SELECT
        array_agg(i.legal_entity_id ORDER BY i.id) AS legal_entity_ids,
        array_agg(i.period_start ORDER BY i.id) AS days,
        array_agg(i.tenant_id ORDER BY i.id) AS tenant_ids,
        array_agg(i.id ORDER BY i.id) AS ids,
        array_agg(billing.hash_invoice(i.tenant_id, i.id) ORDER BY i.id) AS hashes
    INTO v_invoices
    FROM billing.invoices AS i
    WHERE i.tenant_id = ANY (p_tenant_ids)
        AND i.id = ANY (p_invoice_ids)
        AND i.status = 'draft';
    IF v_invoices.ids IS NULL THEN
        RETURN;
    END IF;

    UPDATE billing.invoices AS i
    SET
        invoice_number = n.document_number,
        status = CASE WHEN i.total_amount > 0 THEN 'pending' ELSE 'paid' END,
        paid_at = CASE WHEN i.total_amount <= 0 THEN p_at END
    FROM billing.register_documents(
        'invoice', v_invoices.legal_entity_ids, v_invoices.days, v_invoices.tenant_ids, v_invoices.ids, v_invoices.hashes,
        p_at
    ) AS n
    WHERE i.tenant_id = n.tenant_id
        AND i.id = n.document_id;

    INSERT INTO billing.invoice_events (tenant_id, invoice_id, event, amount, detail, happened_at)
    SELECT i.tenant_id, i.id, e.event, i.total_amount, i.invoice_number, p_at
    FROM billing.invoices AS i
    CROSS JOIN LATERAL (
        SELECT 1 AS n, 'issued' AS event
        UNION ALL
        SELECT 2, 'paid'
        WHERE i.status = 'paid'
    ) AS e
    WHERE i.tenant_id = ANY (p_tenant_ids)
        AND i.id = ANY (v_invoices.ids)
    ORDER BY i.id, e.n;

    -- An invoice of less than nothing is owed to the tenant.
    PERFORM billing.grant_credit(
        i.tenant_id, -i.total_amount, 'adjustment', format('invoice %s', i.invoice_number)
    )
    FROM billing.invoices AS i
    WHERE i.tenant_id = ANY (p_tenant_ids)
        AND i.id = ANY (v_invoices.ids)
        AND i.total_amount < 0;
END;
$$;

COMMENT ON FUNCTION billing.issue_invoices IS
'Makes these drafts, just drawn up, pending at p_at: parties, due date, number, hash. One that asks for nothing is paid; what
is less than nothing becomes credit of the tenant. Its caller holds lock_invoicing.';
