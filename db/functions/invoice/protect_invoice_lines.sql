-- invoice: trigger that keeps the lines of issued invoices as they are.
CREATE OR REPLACE FUNCTION billing.protect_invoice_lines()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_invoice_id bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT i.id
        INTO v_invoice_id
        FROM new_rows AS l
        INNER JOIN billing.invoices AS i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id AND i.status <> 'draft'
        LIMIT 1;
    ELSE
        SELECT i.id
        INTO v_invoice_id
        FROM old_rows AS l
        INNER JOIN billing.invoices AS i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id AND i.status <> 'draft'
        LIMIT 1;
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION 'the lines of an issued invoice cannot be changed'
            USING ERRCODE = 'UB014',
                DETAIL = format('%s of a line of invoice %s was refused.', TG_OP, v_invoice_id),
                HINT = 'Correct it by a credit note, an adjustment of the next invoice, or void it.';
    END IF;
    RETURN NULL;
END;
$$;

COMMENT ON FUNCTION billing.protect_invoice_lines IS 'Refuses (UB014) to add, change or delete lines of an invoice that is no draft.';
