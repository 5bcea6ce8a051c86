-- rate: trigger on pricing_rates; keeps resolved_prices current.
CREATE OR REPLACE FUNCTION billing.rates_changed()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
BEGIN
    PERFORM billing.require_own_table(TG_RELID, 'billing.pricing_rates');
    IF TG_OP = 'INSERT' THEN
        PERFORM billing.resolve_prices(card, channel, resource_type)
        FROM (SELECT DISTINCT card, channel, resource_type FROM new_rows) AS changed;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM billing.resolve_prices(card, channel, resource_type)
        FROM (SELECT DISTINCT card, channel, resource_type FROM old_rows) AS changed;
    ELSE
        PERFORM billing.resolve_prices(card, channel, resource_type)
        FROM (
            SELECT card, channel, resource_type FROM new_rows
            UNION
            SELECT card, channel, resource_type FROM old_rows
        ) AS changed;
    END IF;
    RETURN NULL;
END;
$$;

COMMENT ON FUNCTION billing.rates_changed IS 'Resolves anew each card and resource that a statement on pricing_rates touched.';
