-- record: what is written stays written.
SELECT billing.attach_trigger('billing.usage_records', 'append_only',
    'BEFORE UPDATE OR DELETE ON billing.usage_records FOR EACH ROW EXECUTE FUNCTION billing.refuse_record_change()');
SELECT billing.attach_trigger('billing.usage_records', 'append_only_truncate',
    'BEFORE TRUNCATE ON billing.usage_records FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()');
-- TRUNCATE is guarded by partition, for it can name one.
SELECT billing.attach_trigger(inhrelid, 'append_only_truncate',
    format('BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', inhrelid::regclass))
FROM pg_inherits
WHERE inhparent = 'billing.usage_records'::regclass;

-- Only usage of months without a partition of their own comes here, so looking them up costs the others nothing.
SELECT billing.attach_trigger('billing.usage_records_default', 'refuse_detached_month',
    'BEFORE INSERT ON billing.usage_records_default FOR EACH ROW EXECUTE FUNCTION billing.refuse_detached_month()');
