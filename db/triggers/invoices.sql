-- invoice: what is issued stays as it is.
SELECT billing.attach_trigger('billing.invoices', 'protect_invoice',
    'BEFORE UPDATE OR DELETE ON billing.invoices FOR EACH ROW EXECUTE FUNCTION billing.protect_invoice()');
SELECT billing.attach_trigger('billing.invoice_line_items', 'protect_lines_inserted',
    'AFTER INSERT ON billing.invoice_line_items REFERENCING NEW TABLE AS new_rows '
    'FOR EACH STATEMENT EXECUTE FUNCTION billing.protect_invoice_lines()');
SELECT billing.attach_trigger('billing.invoice_line_items', 'protect_lines_updated',
    'AFTER UPDATE ON billing.invoice_line_items REFERENCING OLD TABLE AS old_rows '
    'FOR EACH STATEMENT EXECUTE FUNCTION billing.protect_invoice_lines()');
SELECT billing.attach_trigger('billing.invoice_line_items', 'protect_lines_deleted',
    'AFTER DELETE ON billing.invoice_line_items REFERENCING OLD TABLE AS old_rows '
    'FOR EACH STATEMENT EXECUTE FUNCTION billing.protect_invoice_lines()');

-- What is written once.
SELECT billing.attach_trigger(format('billing.%I', t.name)::regclass, 'append_only',
    format('BEFORE UPDATE OR DELETE ON billing.%I FOR EACH ROW EXECUTE FUNCTION billing.refuse_change()', t.name))
FROM unnest('{issued_documents,payments,invoice_events}'::text[]) AS t (name);
SELECT billing.attach_trigger('billing.credit_notes', 'append_only',
    'BEFORE UPDATE OR DELETE ON billing.credit_notes FOR EACH ROW WHEN (OLD.credit_note_number <> '''') '
    'EXECUTE FUNCTION billing.refuse_change()');
SELECT billing.attach_trigger(format('billing.%I', t.name)::regclass, 'append_only_truncate',
    format('BEFORE TRUNCATE ON billing.%I FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', t.name))
FROM unnest('{invoices,invoice_line_items,issued_documents,number_series,payments,credit_notes,invoice_events}'::text[]) AS t (name);
