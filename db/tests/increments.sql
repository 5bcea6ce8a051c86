-- Seconds are billed in the price's increments, money follows exactly.
BEGIN;
SELECT plan(42);
\ir fixtures/tenants.sql

SELECT is(
    billing.bill_seconds(seconds, initial, increment), billed,
    format('%s/%s: %s s are billed as %s s', initial, increment, seconds, billed))
FROM (VALUES
    (1, 1, 0::numeric, 0::numeric), (1, 1, 1, 1), (1, 1, 315, 315), (1, 1, 20.2, 21),
    (30, 6, 1, 30), (30, 6, 30, 30), (30, 6, 30.001, 36), (30, 6, 36, 36), (30, 6, 37, 42),
    (60, 60, 0, 0), (60, 60, 1, 60), (60, 60, 60, 60), (60, 60, 61, 120), (60, 60, 2678400, 2678400),
    (30, 18, 40, 48), (30, 18, 48, 48), (30, 18, 49, 66),
    (60, 1, 59, 60), (60, 1, 61, 61),
    (0, 0, 20.2, 20.2), (0, 60, 1, 60), (30, 0, 40.5, 40.5), (0, 0.1, 0.25, 0.3), (0, 7, 2678399, 2678403)
) AS example (initial, increment, seconds, billed);

-- A card with a row for each kind of price.
INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, unit_price, initial_increment, billing_increment, connection_fee, minimum_charge, effective_from)
VALUES
    (7, 'voice', 'minute', '1', 0.06, 30, 18, 0, 0, '2020-01-01'),
    (7, 'voice', 'minute', '2', 0.06, 1, 1, 0.05, 0, '2020-01-01'),
    (7, 'voice', 'minute', '3', 0.06, 1, 1, 0, 0.1, '2020-01-01'),
    (7, 'voice', 'minute', '4', 0.06, 60, 60, 0.01, 0.1, '2020-01-01'),
    (7, 'voice', 'minute', '5', 0.0001, 1, 1, 0, 0, '2020-01-01'),
    (7, 'voice', 'minute', '6', 0.00000003, 1, 1, 0, 0, '2020-01-01'),
    (7, 'voice', 'minute', '7', 0, 1, 1, 0, 0, '2020-01-01'),
    (7, 'sms', 'message', '', 0.01, 60, 60, 0.002, 0, '2020-01-01');
SELECT results_eq(
    format($$SELECT billed_seconds, trim_scale(total_cost) FROM quote_call(7, %L, %s, '2025-11-14')$$, number, seconds),
    format('VALUES (%s::numeric, %s::numeric)', billed, cost),
    name)
FROM (VALUES
    ('+1555', 40, 48, 0.048, '40 s at 30/18 cost 48 s'),
    ('+2555', 60, 60, 0.11, 'a connection fee is added once'),
    ('+2555', 0, 0, 0, 'and not to a call of no seconds'),
    ('+3555', 10, 10, 0.1, 'a call costs the minimum at least'),
    ('+3555', 600, 600, 0.6, 'and what is above it costs what it costs'),
    ('+4555', 61, 120, 0.13, 'the fee counts towards the minimum'),
    ('+4555', 1, 60, 0.1, 'which stands in for what is less'),
    ('+5555', 1, 1, 0.0000016667, 'a cost is rounded once, to 10 decimals'),
    ('+6555', 1, 1, 0.0000000005, 'half a unit of the tenth decimal is not lost'),
    ('+6555', 3, 3, 0.0000000015, 'nor is there a second rounding'),
    ('+7555', 60, 60, 0, 'a price of nothing costs nothing')
) AS example (number, seconds, billed, cost, name);
SELECT is(
    (SELECT trim_scale(total_cost) FROM quote(7, 'sms', 'message', 3, NULL, '2025-11-14')), 0.032,
    'increments are for minutes: three messages are three messages');
SELECT is(
    (SELECT trim_scale(total_cost) FROM quote(7, 'voice', 'minute', 0.5, '+1555', '2025-11-14')), 0.03,
    'a quote for half a minute bills its seconds');

-- The same through a row.
INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)
VALUES (1, 7, '+1555', 'completed', '2025-11-14 10:00:00+00', 40);
SELECT results_eq(
    'SELECT round(quantity, 6), trim_scale(seconds), trim_scale(billed_quantity), trim_scale(unit_cost), trim_scale(total_cost) FROM usage_records',
    'VALUES (0.666667, 40::numeric, 0.8, 0.06, 0.048)',
    'a record keeps what was measured and what was billed');
UPDATE calls SET duration_seconds = 48;
SELECT is((SELECT trim_scale(sum(total_cost)) FROM usage_records), 0.048, 'a correction within the increment costs the same');
SELECT is((SELECT trim_scale(sum(seconds)) FROM usage_records), 48::numeric, 'and is kept');

-- What the obvious formulas get wrong: every second up to an hour against the exact cost in integers.
SELECT is_empty(
    $$SELECT s, price
      FROM generate_series(1, 3600) AS s
      CROSS JOIN unnest('{0.015, 0.0087, 0.123456, 0.00001}'::numeric[]) AS price
      WHERE billing.cost_per_unit(s, 60, price, 0, 0)
          <> div(s * (price * 1000000)::bigint * 10000 * 2 + 60, 60 * 2) / 10000000000.0$$,
    'no second up to an hour is off by a digit');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
