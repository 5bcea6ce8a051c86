-- What a record, a sum, a price and an entry must have, and by what they are told apart.
BEGIN;
SELECT plan(3);

CREATE TEMPORARY VIEW kept AS
SELECT unnest(ARRAY[
    'usage_records', 'usage_deltas', 'usage_sums', 'direct_usage', 'detached_months', 'metered_tables', 'resolved_prices',
    'pricing_rates'
]) AS table_name;

SELECT is(
    ARRAY(
        SELECT (table_name || '.' || column_name)::text COLLATE "C" AS name
        FROM information_schema.columns
        INNER JOIN kept USING (table_name)
        WHERE table_schema = 'billing' AND is_nullable = 'YES'
        ORDER BY name
    ),
    ARRAY[
        'detached_months.dropped_at',
        'direct_usage.reversed_at',
        'metered_tables.resource_column',
        'pricing_rates.calendar_id',
        'pricing_rates.card',
        'pricing_rates.description',
        'pricing_rates.effective_until',
        'pricing_rates.plan_id',
        'pricing_rates.tenant_id',
        'resolved_prices.billing_increment',
        'resolved_prices.connection_fee',
        'resolved_prices.currency',
        'resolved_prices.initial_increment',
        'resolved_prices.minimum_charge',
        'resolved_prices.rate_id',
        'resolved_prices.unit_price',
        'usage_records.destination',
        'usage_records.seconds',
        'usage_records.source_id',
        'usage_records.source_table',
        'usage_records.xact'
    ] COLLATE "C",
    'only these columns may be left empty'
);
SELECT results_eq(
    $$SELECT table_name::text
    FROM kept
    WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = ('billing.' || table_name)::regclass AND contype = 'p')$$,
    ARRAY['usage_deltas'],
    'every table but the one that is added up has a primary key'
);
SELECT is_empty(
    $$SELECT column_name
    FROM information_schema.columns
    WHERE table_schema = 'billing' AND table_name = 'unrated_usage' AND is_nullable = 'NO' AND column_name <> 'id'$$,
    'what is set aside may lack anything'
);

SELECT * FROM finish();
ROLLBACK;
