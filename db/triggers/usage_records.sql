-- record: usage of a month that was taken out is not written anywhere else.
-- Only usage of months without a partition of their own comes here, so looking them up costs the others nothing.
SELECT billing.attach_trigger('billing.usage_records_default', 'refuse_detached_month',
    'BEFORE INSERT ON billing.usage_records_default FOR EACH ROW EXECUTE FUNCTION billing.refuse_detached_month()');
