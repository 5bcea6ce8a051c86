-- invoice: nothing is added to what is issued. Not for what a replica or a restore brings in: lines come after their invoice there.
SELECT billing.attach_trigger('billing.invoice_line_items', 'protect_lines_inserted',
    'AFTER INSERT ON billing.invoice_line_items REFERENCING NEW TABLE AS new_rows '
    'FOR EACH STATEMENT EXECUTE FUNCTION billing.protect_invoice_lines()');

-- The last numbers given.
SELECT billing.attach_trigger('billing.number_series', 'append_only_truncate',
    'BEFORE TRUNCATE ON billing.number_series FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()');
