-- rate: prices are checked as they are entered, and resolved for lookups.
SELECT billing.attach_trigger('billing.pricing_rates', 'check_rate',
    'BEFORE INSERT OR UPDATE OR DELETE ON billing.pricing_rates FOR EACH ROW EXECUTE FUNCTION billing.check_rate()');
SELECT billing.attach_trigger('billing.pricing_rates', 'rates_inserted',
    'AFTER INSERT ON billing.pricing_rates REFERENCING NEW TABLE AS new_rows '
    'FOR EACH STATEMENT EXECUTE FUNCTION billing.rates_changed()');
SELECT billing.attach_trigger('billing.pricing_rates', 'rates_updated',
    'AFTER UPDATE ON billing.pricing_rates REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
    'FOR EACH STATEMENT EXECUTE FUNCTION billing.rates_changed()');
SELECT billing.attach_trigger('billing.pricing_rates', 'rates_deleted',
    'AFTER DELETE ON billing.pricing_rates REFERENCING OLD TABLE AS old_rows '
    'FOR EACH STATEMENT EXECUTE FUNCTION billing.rates_changed()');
-- TRUNCATE would take prices that have begun with it.
SELECT billing.attach_trigger('billing.pricing_rates', 'append_only_truncate',
    'BEFORE TRUNCATE ON billing.pricing_rates FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()');

-- The prices that were there before the triggers.
SELECT billing.resolve_prices(card, channel, resource_type)
FROM (
    SELECT card, channel, resource_type FROM billing.pricing_rates
    EXCEPT
    SELECT card, channel, resource_type FROM billing.resolved_prices
) AS unresolved;
