-- What a quantity costs: each charge model by an example or two, and what is refused.
BEGIN;
SELECT plan(82);

CREATE FUNCTION pg_temp.costs(p_model text, p_terms jsonb, p_quantity numeric, p_cost numeric, p_name text, p_events integer DEFAULT 1)
RETURNS text
LANGUAGE sql
AS $$
    SELECT is(trim_scale(billing.charge(p_model, p_terms, p_quantity, p_events)), p_cost, p_name);
$$;

-- per_unit: so much a unit. A call's terms: seconds, the price of a minute, increments.
SELECT pg_temp.costs('per_unit', '{"unit_price": 0.0075}', 3, 0.0225, 'three messages cost three times one');
SELECT pg_temp.costs('per_unit', '{"unit_price": 0.015, "per": 60}', 315, 0.07875, '315 s at 0.015 a minute');
SELECT pg_temp.costs('per_unit', '{"unit_price": 0.06, "per": 60, "initial_increment": 30, "increment": 18}', seconds, cost, name)
FROM (VALUES
    (40, 0.048, '40 s at 30/18 are 48 s'),
    (30, 0.03, '30 s are 30 s'),
    (0.001, 0.03, 'the shortest call is 30 s'),
    (30.001, 0.048, 'a hair more than 30 s is 48 s'),
    (0, 0, 'no call costs nothing')
) AS example (seconds, cost, name);
SELECT pg_temp.costs('per_unit', '{"unit_price": 0.06, "per": 60, "connection_fee": 0.05, "minimum_charge": 0.1, "maximum_charge": 0.2}', seconds, cost, name)
FROM (VALUES
    (60, 0.11, 'the connection fee is added once'),
    (10, 0.1, 'a call costs the minimum at least'),
    (3600, 0.2, 'and the maximum at most'),
    (0, 0, 'no call costs no fee and no minimum')
) AS example (seconds, cost, name);
SELECT pg_temp.costs('per_unit', '{"unit_price": 1, "maximum_charge": 0}', 5, 0, 'a maximum of 0 is one');
SELECT pg_temp.costs('per_unit', '{"unit_price": 1, "maximum_charge": null}', 5, 5, 'a maximum of null is none');

-- stepped: the price changes as the call lasts. 0.2 for the first minute, then 0.1 a minute by the second.
SELECT pg_temp.costs('stepped', '{"connection_fee": 0.4, "steps": [
        {"from": 0, "unit_price": 0.2, "per": 60, "increment": 60},
        {"from": 60, "unit_price": 0.1, "per": 60, "increment": 1}]}', seconds, cost, name)
FROM (VALUES
    (20, 0.6, 'a call within the first step pays its increment'),
    (60, 0.6, 'as does one that fills it'),
    (85, 0.6416666667, 'the rest is billed by the second, and rounded once'),
    (3600, 6.5, 'an hour'),
    (0, 0, 'no call costs no connection fee')
) AS example (seconds, cost, name);
SELECT pg_temp.costs('stepped', '{"steps": [{"from": 0, "unit_price": 1, "per": 3}, {"from": 1, "unit_price": 1, "per": 7}]}', 2, 0.4761904762,
    'a third and a seventh are added before they are rounded');
SELECT results_eq(
    $$SELECT step, from_quantity, quantity, billed, unit_price, per
      FROM list_steps('{"steps": [{"from": 0, "unit_price": 0.2, "per": 60, "increment": 60}, {"from": 60, "unit_price": "0.1", "increment": 7}]}', 70)$$,
    'VALUES (1, 0::numeric, 60::numeric, 60::numeric, 0.2, 60::numeric), (2, 60, 10, 14, 0.1, 1)',
    'list_steps shows how a quantity is walked through');

-- graduated: each unit at the price of its own tier. volume: all at the price of the tier that holds the total.
SELECT pg_temp.costs(model, '{"tiers": [
        {"up_to": 10, "unit_price": 10, "flat_fee": 2},
        {"up_to": 20, "unit_price": 5, "flat_fee": 3},
        {"unit_price": 4}]}', quantity, cost, format('%s: %s units', model, quantity))
FROM (VALUES
    ('graduated', 0, 2), ('graduated', 1, 12), ('graduated', 10, 102), ('graduated', 10.5, 107.5), ('graduated', 11, 110),
    ('graduated', 20, 155), ('graduated', 21, 159),
    ('volume', 0, 2), ('volume', 10, 102), ('volume', 10.5, 55.5), ('volume', 20, 103), ('volume', 21, 84)
) AS example (model, quantity, cost);
SELECT is(
    charge('graduated', terms, 22) - charge('graduated', terms, 12), 22.0000000000,
    'the second half of a period costs f(22) - f(12)')
FROM (VALUES ('{"tiers": [
    {"up_to": 5, "unit_price": 0, "flat_fee": 100},
    {"up_to": 10, "unit_price": 0, "flat_fee": 50},
    {"up_to": 15, "unit_price": 5},
    {"up_to": null, "unit_price": 1}]}'::jsonb)) AS example (terms);
SELECT results_eq(
    format($$SELECT tier, from_quantity, up_to, quantity, unit_price, flat_fee, amount
      FROM list_tiers(%L, '{"tiers": [{"up_to": 10, "unit_price": 2, "flat_fee": 1}, {"unit_price": 1}]}', 12)$$, model),
    expected, format('list_tiers shows what each tier of %s adds', model))
FROM (VALUES
    ('graduated', 'VALUES (1, 0::numeric, 10::numeric, 10::numeric, 2::numeric, 1::numeric, 21::numeric), (2, 10, NULL, 2, 1, 0, 2)'),
    ('volume', 'VALUES (2, 10::numeric, NULL::numeric, 12::numeric, 1::numeric, 0::numeric, 12::numeric)')
) AS example (model, expected);

-- package: whole packages of what exceeds the free units.
SELECT pg_temp.costs('package', '{"package_size": 10, "package_price": 100, "free_units": 5}', quantity, cost, format('packages: %s units', quantity))
FROM (VALUES (0, 0), (5, 0), (5.1, 100), (15, 100), (16, 200), (126, 1300)) AS example (quantity, cost);

-- percentage: of an amount of money, and a fee for each event. 1.3 is 1.3 %.
SELECT pg_temp.costs('percentage', '{"rate": 1.3, "fixed_fee": 2}', 800, 18.4, '1.3 % of 800, and four fees of 2', 4);
SELECT pg_temp.costs('percentage', '{"rate": 1.3, "fixed_fee": 2, "free_events": 2, "free_amount": 250}', 800, 11.15, 'some of both is free', 4);
SELECT pg_temp.costs('percentage', '{"rate": 1.3, "fixed_fee": 2, "free_events": 9, "free_amount": 900}', 800, 0, 'more than there is is free', 4);
SELECT pg_temp.costs('percentage', '{"rate": 2.99, "minimum": 1.75, "maximum": 12}', quantity, cost, format('%s with a minimum and a maximum', quantity))
FROM (VALUES (10, 1.75), (80, 2.392), (10000, 12), (0, 0)) AS example (quantity, cost);
SELECT pg_temp.costs('percentage', '{"rate": 2.99, "minimum": 1.75, "free_amount": 10}', 10, 0, 'what is wholly free costs no minimum');
SELECT pg_temp.costs('graduated_percentage', '{"tiers": [
        {"up_to": 10, "rate": 1, "flat_fee": 200},
        {"up_to": 20, "rate": 2, "flat_fee": 300},
        {"up_to": null, "rate": 3, "flat_fee": 400}]}', quantity, cost, format('graduated percentage of %s', quantity))
FROM (VALUES (0, 200), (1, 200.01), (10, 200.1), (12, 500.14), (21, 900.33)) AS example (quantity, cost);

-- Exact, and rounded once, half away from zero.
SELECT pg_temp.costs('per_unit', '{"unit_price": 0.00000000005}', 1, 0.0000000001, 'half a unit of the tenth decimal is rounded up');
SELECT pg_temp.costs('per_unit', '{"unit_price": 0.00000000004999999999}', 1, 0, 'what is less is not');
SELECT pg_temp.costs('per_unit', '{"unit_price": 1, "per": 99999999999999999999}', 4999999999.99999999994, 0, 'nor is what is less by however little');
SELECT pg_temp.costs('per_unit', '{"unit_price": 1, "per": 99999999999999999999}', 4999999999.99999999995, 0.0000000001, 'half a unit is one, however large the divisor');
SELECT pg_temp.costs('per_unit', '{"unit_price": "1e-20"}', 1e40, 1e20, 'a great many at next to nothing');
SELECT pg_temp.costs('per_unit', '{"unit_price": "2.5E-3"}', 2, 0.005, 'an amount may be a string');

-- Terms are checked, and the error says which key is wrong.
SELECT throws_ok(format('SELECT charge(%L, %L, 1)', model, terms), 'UB005', NULL, name)
FROM (VALUES
    ('flat', '{}', 'a charge model that is none is refused'),
    ('per_unit', NULL, 'no terms are refused'),
    ('per_unit', '[]', 'terms that are no object'),
    ('per_unit', '{}', 'a missing key'),
    ('per_unit', '{"unit_price": 1, "price": 1}', 'an unknown key'),
    ('per_unit', '{"unit_price": -1}', 'a negative price'),
    ('per_unit', '{"unit_price": "NaN"}', 'a price that is no number'),
    ('per_unit', '{"unit_price": "0x10"}', 'or not in plain notation'),
    ('per_unit', '{"unit_price": 1, "per": 0}', 'a divisor of 0'),
    ('per_unit', '{"unit_price": 1, "minimum_charge": 2, "maximum_charge": 1}', 'a maximum below the minimum'),
    ('stepped', '{"steps": [{"from": 1, "unit_price": 1}]}', 'steps that leave out the beginning'),
    ('stepped', '{"steps": [{"from": 0, "unit_price": 1, "increment": 0}]}', 'an increment of 0'),
    ('graduated', '{"tiers": [{"up_to": 10, "unit_price": 1}]}', 'tiers without an open end'),
    ('volume', '{"tiers": [{"up_to": 10, "unit_price": 1}, {"up_to": 5, "unit_price": 1}, {"unit_price": 1}]}', 'tiers out of order'),
    ('package', '{"package_size": 0, "package_price": 1}', 'packages of 0')
) AS example (model, terms, name);
SELECT lives_ok($$SELECT check_terms('per_unit', '{"unit_price": 1}')$$, 'check_terms is silent where there is nothing to say');

-- So is the quantity.
SELECT throws_ok(
    format($$SELECT charge('per_unit', '{"unit_price": 1}', %L::numeric)$$, quantity), 'UB003', NULL,
    format('a quantity of %s is refused', COALESCE(quantity, 'NULL')))
FROM unnest('{-1, NaN, Infinity, NULL}'::text[]) AS quantity;
SELECT throws_ok($$SELECT charge('percentage', '{"rate": 1}', 1, -1)$$, 'UB003', NULL, 'and so are less than no events');

SELECT results_eq(
    $$SELECT model FROM unnest('{per_unit, stepped, graduated, volume, package, percentage, graduated_percentage}'::text[]) AS model
      WHERE is_period_priced(model)$$,
    $$VALUES ('graduated'), ('volume'), ('package'), ('percentage'), ('graduated_percentage')$$,
    'these price the whole quantity of a period');

SELECT * FROM finish();
ROLLBACK;
