-- rate and record: what the trigger path needs to know, at a glance.

-- Most prices are no more than a price for each unit. Knowing so beforehand spares the trigger the rest of the terms.
ALTER TABLE billing.resolved_prices
    ADD COLUMN is_plain boolean NOT NULL GENERATED ALWAYS AS (COALESCE(
        NOT by_terms
        AND initial_increment <= 1
        AND billing_increment <= 1
        AND connection_fee = 0
        AND minimum_charge = 0,
        false
    )) STORED;
COMMENT ON COLUMN billing.resolved_prices.is_plain IS
'true: whole seconds, and units of anything else, are billed as they are, at unit_price each, and that is all.';

-- Only where a tenant reserves is it looked whether usage was reserved.
ALTER TABLE billing.tenant_terms ADD COLUMN looks_closer boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN billing.tenant_terms.looks_closer IS
'true: the tenant has reserved at some time, so that the recorder looks whether its usage settles a reservation. Set by
look_closer in all rows of a tenant, and stays.';

-- Functions whose arguments change; they are loaded anew after the migrations.
DROP FUNCTION IF EXISTS billing.record_first_charge;
