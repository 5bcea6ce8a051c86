ALTER TABLE billing.resolved_prices DROP COLUMN is_plain;
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
ALTER TABLE billing.resolved_prices
    DROP CONSTRAINT resolved_prices_first_knows_the_others,
    DROP COLUMN changes,
    DROP COLUMN longest;
