-- invoice: what an invoice says, as a hash.
CREATE OR REPLACE FUNCTION billing.hash_invoice(p_tenant_id bigint, p_invoice_id bigint)
RETURNS bytea
LANGUAGE sql
STABLE
AS $$
    SELECT sha256(convert_to(jsonb_build_object(
        'tenant_id', i.tenant_id,
        'invoice_id', i.id,
        'legal_entity_id', i.legal_entity_id,
        'parties', i.parties,
        'period', jsonb_build_array(i.period_start, i.period_end),
        'amounts', jsonb_build_array(i.subtotal, i.tax, i.total_amount, i.currency),
        'due_date', i.due_date,
        'issued_at', extract(epoch FROM i.finalized_at),
        'plan_id', i.plan_id,
        'usage', jsonb_build_array(
            (i.usage_cut).last_record_id, (i.usage_cut).snapshot::text, (i.usage_cut).xact::text, i.usage_changes
        ),
        'lines', (
            SELECT jsonb_agg(to_jsonb(l) ORDER BY l.id)
            FROM billing.invoice_line_items AS l
            WHERE l.tenant_id = i.tenant_id
                AND l.invoice_id = i.id
        )
    )::text, 'UTF8'))
    FROM billing.invoices AS i
    WHERE i.tenant_id = p_tenant_id
        AND i.id = p_invoice_id;
$$;

COMMENT ON FUNCTION billing.hash_invoice IS
'sha256 of all that an issued invoice says, in a form that is the same on every server (jsonb as text): parties, period,
amounts, days, the usage it covers, and every column of its lines. Not its number, which the chain has, nor what became of it.';
