-- credit: what is written stays written.
SELECT billing.attach_trigger('billing.credit_entries', 'append_only',
    'BEFORE UPDATE OR DELETE ON billing.credit_entries FOR EACH ROW EXECUTE FUNCTION billing.refuse_change()');
SELECT billing.attach_trigger('billing.credit_entries', 'append_only_truncate',
    'BEFORE TRUNCATE ON billing.credit_entries FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()');
SELECT billing.attach_trigger('billing.credit_uses', 'append_only',
    'BEFORE UPDATE OR DELETE ON billing.credit_uses FOR EACH ROW EXECUTE FUNCTION billing.refuse_change()');
SELECT billing.attach_trigger('billing.credit_uses', 'append_only_truncate',
    'BEFORE TRUNCATE ON billing.credit_uses FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()');
