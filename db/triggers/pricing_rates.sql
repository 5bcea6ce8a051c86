-- rate: prices are checked as they are entered, and resolved for lookups.
CREATE OR REPLACE TRIGGER check_rate
BEFORE INSERT OR UPDATE OR DELETE ON billing.pricing_rates
FOR EACH ROW EXECUTE FUNCTION billing.check_rate();

CREATE OR REPLACE TRIGGER rates_inserted
AFTER INSERT ON billing.pricing_rates
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION billing.rates_changed();

CREATE OR REPLACE TRIGGER rates_updated
AFTER UPDATE ON billing.pricing_rates
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION billing.rates_changed();

CREATE OR REPLACE TRIGGER rates_deleted
AFTER DELETE ON billing.pricing_rates
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION billing.rates_changed();

-- The prices that were there before the triggers.
SELECT billing.resolve_prices(card, channel, resource_type)
FROM (SELECT DISTINCT card, channel, resource_type FROM billing.pricing_rates) AS cards;
