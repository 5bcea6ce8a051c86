-- invoice: credit pays for what is being issued.
CREATE OR REPLACE FUNCTION billing.pay_by_credit(p_tenant_ids bigint[], p_invoice_ids bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    -- From here on nobody else spends it: late, so that it is not for long.
    PERFORM billing.lock_credit(t.id)
    FROM (
        SELECT x.id
        FROM public.tenants AS x
        WHERE x.id = ANY (p_tenant_ids)
            AND x.credit_balance > 0
        ORDER BY x.id
    ) AS t;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM billing.apply_credit(p_tenant_ids, p_invoice_ids, true);
    -- Usage that included credit pays for is not taxed.
    DELETE FROM billing.invoice_line_items
    WHERE tenant_id = ANY (p_tenant_ids)
        AND invoice_id = ANY (p_invoice_ids)
        AND kind = 'tax';
    PERFORM billing.apply_taxes(p_tenant_ids, p_invoice_ids);
    PERFORM billing.apply_credit(p_tenant_ids, p_invoice_ids, false);
    PERFORM billing.spend_lots(p_tenant_ids, p_invoice_ids);
    PERFORM billing.total_invoices(p_tenant_ids, p_invoice_ids);
END;
$$;

COMMENT ON FUNCTION billing.pay_by_credit IS
'Adds to these drafts, about to be issued, a line for the included credit of the tenant, taxes them anew, adds a line for its
other credit, and takes both from its lots.';
