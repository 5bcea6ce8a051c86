-- What a record, a sum, a price and an entry must have, and by what they are told apart.
BEGIN;
SELECT plan(35);

CREATE TEMPORARY VIEW kept AS
SELECT unnest(ARRAY[
    'usage_records', 'usage_deltas', 'usage_sums', 'direct_usage', 'detached_months', 'metered_tables', 'resolved_prices',
    'pricing_rates', 'tenant_terms'
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
        'resolved_prices.changes',
        'resolved_prices.connection_fee',
        'resolved_prices.currency',
        'resolved_prices.initial_increment',
        'resolved_prices.longest',
        'resolved_prices.minimum_charge',
        'resolved_prices.rate_id',
        'resolved_prices.unit_price',
        'tenant_terms.plan_id',
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

SELECT is_empty(
    $$SELECT unnest(ARRAY['pricing_rates_calendar_id_idx', 'pricing_rates_card_idx', 'pricing_rates_period_priced_idx', 'pricing_rates_plan_id_idx',
        'unrated_usage_announce_idx', 'unrated_usage_open_idx', 'unrated_usage_retry_idx', 'usage_deltas_tenant_idx', 'usage_records_default_date_idx'])
      EXCEPT
      SELECT indexname::text FROM pg_indexes WHERE schemaname = 'billing'$$,
    'what is looked for is found by an index');

-- What a column may hold.
SELECT throws_ok(format('SELECT %L::billing.%I', value, type), '23514', NULL, format('%s is no %s', value, type))
FROM (VALUES
    ('finite_numeric', 'NaN'), ('finite_numeric', 'Infinity'), ('finite_numeric', '-Infinity'), ('price', '-0.01'), ('price', 'NaN'), ('price', 'Infinity'),
    ('record_kind', 'refund'), ('finite_timestamp', 'infinity'), ('finite_timestamp', '-infinity')
) AS bad (type, value);
-- A price, even where the trigger that explains what is wrong does not fire, as in a restore.
ALTER TABLE pricing_rates DISABLE TRIGGER USER;
CREATE FUNCTION pg_temp.price(p_key text, p_value text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_price jsonb := '{"channel": "c", "resource_type": "r", "unit_price": 1, "effective_from": "2025-01-01T00:00:00Z"}'
        || jsonb_build_object(p_key, p_value);
BEGIN
    EXECUTE format('INSERT INTO billing.pricing_rates (%s) VALUES (%s)',
        (SELECT string_agg(quote_ident(key), ', ' ORDER BY key) FROM jsonb_each_text(v_price)),
        (SELECT string_agg(quote_literal(value), ', ' ORDER BY key) FROM jsonb_each_text(v_price)));
END $$;
SELECT throws_ok(format('SELECT pg_temp.price(%L, %L)', key, value), '23514', NULL, format('%s cannot be %L', key, value))
FROM (VALUES
    ('tenant_id', '0'), ('channel', ''), ('resource_type', ''), ('prefix', '+49'), ('unit_price', '-1'), ('unit_price', 'NaN'), ('unit_price', 'Infinity'),
    ('initial_increment', '-1'), ('initial_increment', 'NaN'), ('billing_increment', '-1'), ('billing_increment', 'Infinity'), ('connection_fee', '-1'),
    ('connection_fee', 'NaN'), ('minimum_charge', '-1'), ('minimum_charge', 'NaN'), ('currency', 'usd'), ('effective_from', 'infinity'),
    ('effective_until', 'infinity'), ('effective_until', '2025-01-01T00:00:00Z')
) AS bad (key, value);
SELECT lives_ok($$SELECT pg_temp.price('plan_id', '1')$$, 'a price of a plan');
SELECT throws_ok($$UPDATE pricing_rates SET tenant_id = 7 WHERE channel = 'c'$$, '23514', NULL, 'is not a tenant''s own, too');
SELECT throws_ok($$SELECT pg_temp.price('plan_id', '1')$$, '23P01', NULL, 'nor is there another in force at its time');

SELECT * FROM finish();
ROLLBACK;
