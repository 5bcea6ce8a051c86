-- rate: what is to be known of a card so that one probe prices many rows.

ALTER TABLE billing.resolved_prices
    ADD COLUMN longest integer,
    ADD COLUMN changes timestamptz[];
COMMENT ON COLUMN billing.resolved_prices.longest IS
'Length of the longest lo of this card and resource: what a destination has beyond it changes no price. On the first row only (lo
empty, valid_from -infinity), NULL on the others.';
COMMENT ON COLUMN billing.resolved_prices.changes IS
'Every valid_from of this card and resource, ascending: between two of them no price changes. On the first row only, as longest.';

UPDATE billing.resolved_prices AS p
SET longest = f.longest, changes = f.changes
FROM (
    SELECT
        card, channel, resource_type, max(length(lo)) AS longest,
        array_agg(DISTINCT valid_from ORDER BY valid_from) AS changes
    FROM billing.resolved_prices
    GROUP BY card, channel, resource_type
) AS f
WHERE p.card = f.card
    AND p.channel = f.channel
    AND p.resource_type = f.resource_type
    AND p.lo = ''
    AND p.valid_from = '-infinity';

-- Without them no row of the card would have a price.
-- The table is no larger than the cards, and rewritten below anyway.
ALTER TABLE billing.resolved_prices
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT resolved_prices_first_knows_the_others CHECK (
        CASE
            WHEN lo = '' AND valid_from = '-infinity' THEN num_nulls(longest, changes) = 0
            ELSE num_nonnulls(longest, changes) = 0
        END
    );

-- Increments of a part of a second (0.7) change what whole seconds are billed as.
-- It is there again before the commit: PostgreSQL 15 changes no generated column.
-- squawk-ignore ban-drop-column
ALTER TABLE billing.resolved_prices DROP COLUMN is_plain;
ALTER TABLE billing.resolved_prices
    -- squawk-ignore adding-field-with-default
    ADD COLUMN is_plain boolean NOT NULL GENERATED ALWAYS AS (COALESCE(
        NOT by_terms
        AND initial_increment IN (0, 1)
        AND billing_increment IN (0, 1)
        AND connection_fee = 0
        AND minimum_charge = 0,
        false
    )) STORED;
COMMENT ON COLUMN billing.resolved_prices.is_plain IS
'true: whole seconds, and units of anything else, are billed as they are, at unit_price each, and that is all.';
