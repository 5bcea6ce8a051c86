-- invoice: from a record to its invoice.
CREATE OR REPLACE FUNCTION billing.trace_record(p_record_id bigint, p_tenant_id bigint DEFAULT NULL)
RETURNS TABLE (
    tenant_id bigint,
    record_id bigint,
    usage_date date,
    resource_id text,
    total_cost numeric,
    disposition text,
    invoice_id bigint,
    invoice_number text,
    line_id bigint,
    description text
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        d.tenant_id, d.record_id, d.usage_date, d.resource_id, d.total_cost, d.disposition, d.invoice_id, i.invoice_number,
        d.line_id, l.description
    FROM billing.usage_disposition AS d
    LEFT JOIN billing.invoices AS i ON i.tenant_id = d.tenant_id AND i.id = d.invoice_id
    LEFT JOIN billing.invoice_line_items AS l
        ON l.tenant_id = d.tenant_id
        AND l.invoice_id = d.invoice_id
        AND l.id = d.line_id
    WHERE d.record_id = p_record_id
        AND (p_tenant_id IS NULL OR d.tenant_id = p_tenant_id);
$$;

COMMENT ON FUNCTION billing.trace_record IS
'What became of a usage record, as usage_disposition has it, and the line that bills it; no row when there is none. With its
tenant it is found faster.';
