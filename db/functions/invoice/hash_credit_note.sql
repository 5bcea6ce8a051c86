-- invoice: what a credit note says, as a hash.
CREATE OR REPLACE FUNCTION billing.hash_credit_note(p_tenant_id bigint, p_credit_note_id bigint)
RETURNS bytea
LANGUAGE sql
STABLE
AS $$
    SELECT sha256(convert_to(jsonb_build_object(
        'tenant_id', c.tenant_id,
        'credit_note_id', c.id,
        'invoice_id', c.invoice_id,
        'legal_entity_id', c.legal_entity_id,
        'parties', c.parties,
        'amounts', jsonb_build_array(c.subtotal, c.tax, c.total_amount, c.to_balance, c.currency),
        'taxes', c.taxes,
        'reason', c.reason,
        'issued_at', extract(epoch FROM c.issued_at)
    )::text, 'UTF8'))
    FROM billing.credit_notes AS c
    WHERE c.tenant_id = p_tenant_id
        AND c.id = p_credit_note_id;
$$;

COMMENT ON FUNCTION billing.hash_credit_note IS 'sha256 of all that a credit note says, as hash_invoice; not its number, which the chain has.';
