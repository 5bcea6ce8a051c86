-- Usage costs the same whichever way it is priced: by itself, among many, or again at its recorded rate.
BEGIN;
SELECT plan(23);
\ir fixtures/tenants.sql
\ir fixtures/prices.sql

CREATE TEMPORARY TABLE cases AS
SELECT n, tenant_id, channel, resource_type, measured, destination, at::timestamptz AS at, unit_cost, billed, total_cost, day::date AS day
FROM (VALUES
    (1, 7, 'voice', 'minute', 20, '4155', '2025-11-14 10:00:00+00', 0.06, 0.5, 0.04, '2025-11-14'),
    (2, 7, 'voice', 'minute', 20.6, NULL, '2025-11-14 10:00:00+00', 0.015, 0.35, 0.00525, '2025-11-14'),
    (3, 7, 'voice', 'minute', 90, '4366', '2025-11-14 10:00:00+00', 0, 1.5, 0, '2025-11-14'),
    (4, 7, 'fax', 'letter', 90, NULL, '2025-11-14 10:00:00+00', 0, 90, 0, '2025-11-14'),
    (5, 7, 'fax', 'page', 90, NULL, '2025-11-14 10:00:00+00', 0.005, 90, 0.45, '2025-11-14'),
    (6, 7, 'fax', 'minute', 90, NULL, '2025-11-14 10:00:00+00', 0.8, 1.5, 1.2, '2025-11-14'),
    (7, 7, 'voice', 'page', 1, '1555', '2025-11-14 10:00:00+00', 0.9, 1, 0.9, '2025-11-14'),
    (8, 7, 'voice', 'minute', 60, '44', '2025-11-14 10:00:00+00', 0.1, 1, 0.1, '2025-11-14'),
    (9, 7, 'voice', 'minute', 60, '4475', '2025-11-14 10:00:00+00', 0.3, 1, 0.3, '2025-11-14'),
    (10, 7, 'voice', 'minute', 60, '3311', '2025-10-31 23:59:59+00', 0.02, 1, 0.02, '2025-10-31'),
    (11, 7, 'voice', 'minute', 60, '3311', '2025-11-01 00:00:00+00', 0.04, 1, 0.04, '2025-10-31'),
    (12, 7, 'voice', 'minute', 60, '3311', '2025-12-30 23:59:59+00', 0.08, 1, 0.08, '2025-12-30'),
    (13, 7, 'voice', 'minute', 60, '3311', '2025-12-31 00:00:00+00', 0.7, 1, 0.7, '2025-12-31'),
    (14, 7, 'voice', 'minute', 60, '3311', '2026-01-14 20:00:00+00', 0.7, 1, 0.7, '2026-01-15'),
    (15, 7, 'voice', 'minute', 60, '4955', '2025-11-14 10:00:00+00', 0.05, 1, 0.05, '2025-11-14'),
    (16, 8, 'voice', 'minute', 60, '4955', '2025-11-14 10:00:00+00', 0.06, 1, 0.06, '2025-11-14'),
    (17, 8, 'voice', 'minute', 60, '3311', '2025-11-14 10:00:00+00', 0.7, 1, 0.7, '2025-11-14'),
    (18, 7, 'voice', 'minute', 60, '3955', '2025-11-14 10:00:00+00', 0.015, 1, 0.015, '2025-11-14')
) AS given (n, tenant_id, channel, resource_type, measured, destination, at, unit_cost, billed, total_cost, day);

CREATE TEMPORARY TABLE alone AS
SELECT c.*, p.problem, p.rate_id, p.currency, p.usage_date, p.quantity, p.billed_quantity, p.unit_cost AS p_unit_cost, p.total_cost AS p_total_cost, p.period_rate_id
FROM cases AS c
CROSS JOIN LATERAL price_usage(c.tenant_id, c.channel, c.resource_type, c.measured, c.destination, c.at) AS p;
SELECT is_empty(
    $$SELECT * FROM alone
      WHERE problem IS NOT NULL OR (trim_scale(p_unit_cost), trim_scale(billed_quantity), trim_scale(p_total_cost), usage_date, currency)
        IS DISTINCT FROM (unit_cost, billed, trim_scale(total_cost), day, 'USD')$$,
    'each has the price of its tenant, plan, destination, resource and time');
SELECT is_empty(
    $$SELECT * FROM alone WHERE quantity IS DISTINCT FROM CASE WHEN resource_type = 'minute' THEN trim_scale(measured / 60.0) ELSE measured END$$,
    'and its quantity as it was measured');
SELECT results_eq(
    'SELECT n FROM alone WHERE period_rate_id = rate_id', 'VALUES (3), (4)', 'what a period prices says so');
SELECT is((SELECT count(period_rate_id) FROM alone), 2::bigint, 'and nothing else does');
SELECT results_eq(
    $$SELECT p.source_id::integer, p.problem, p.rate_id, p.currency, p.usage_date, p.quantity, p.billed_quantity, p.unit_cost, p.total_cost, p.period_rate_id
      FROM price_measurements(ARRAY(
        SELECT (n, 1, tenant_id, channel, resource_type, 'R', measured, destination, at)::measurement FROM cases ORDER BY n)) AS p ORDER BY 1$$,
    'SELECT n, problem, rate_id, currency, usage_date, quantity, billed_quantity, p_unit_cost, p_total_cost, period_rate_id FROM alone ORDER BY 1',
    'many at once cost the same');
SELECT results_eq(
    $$SELECT c.n, p.problem, p.rate_id, p.currency, p.usage_date, p.quantity, p.billed_quantity, p.unit_cost, p.total_cost, p.period_rate_id
      FROM cases AS c
      CROSS JOIN LATERAL price_measurements(ARRAY[(n, 1, tenant_id, channel, resource_type, 'R', measured, destination, at)::measurement]) AS p ORDER BY 1$$,
    'SELECT n, problem, rate_id, currency, usage_date, quantity, billed_quantity, p_unit_cost, p_total_cost, period_rate_id FROM alone ORDER BY 1',
    'and so does each of them where it is the only one');
SELECT is_empty(
    $$SELECT n, rate_id, currency, quantity, billed_quantity, p_unit_cost, p_total_cost, period_rate_id FROM alone
      EXCEPT
      SELECT a.n, p.rate_id, p.currency, p.quantity, p.billed_quantity, p.unit_cost, p.total_cost, p.period_rate_id
      FROM alone AS a CROSS JOIN LATERAL reprice_usage(a.rate_id, a.resource_type, a.measured, a.at) AS p$$,
    'and again by their rates');

-- What has no price says why, and nothing else.
SELECT is(
    row_to_json(price_usage(tenant_id, channel, 'minute', measured, NULL, at::timestamptz))::jsonb - 'problem',
    '{"rate_id": null, "currency": null, "usage_date": null, "quantity": null, "billed_quantity": null, "unit_cost": null, "total_cost": null, "period_rate_id": null}'::jsonb,
    'nothing is said of the price of ' || name)
FROM (VALUES (7, 'owl', 60, '2025-11-14', 'what has none'), (999, 'voice', 60, '2025-11-14', 'an unknown tenant''s')) AS bad (tenant_id, channel, measured, at, name);
SELECT is(
    (price_usage(tenant_id, channel, 'minute', measured, NULL, at::timestamptz)).problem || ' '
        || (SELECT p.problem FROM price_measurements(ARRAY[(1, 1, tenant_id, channel, 'minute', 'R', measured, NULL, at)::measurement]) AS p), problem || ' ' || problem,
    name)
FROM (VALUES
    (7, 'owl', 60::numeric, '2025-11-14', 'UB001', 'no price'), (999, 'voice', 60, '2025-11-14', 'UB002', 'no tenant'), (7, 'voice', 'NaN', '2025-11-14', 'UB003', 'no number'),
    (7, 'voice', -1, '2025-11-14', 'UB003', 'less than nothing'), (7, 'voice', NULL, '2025-11-14', 'UB003', 'a quantity that is not known'),
    (7, 'voice', 'Infinity', '2025-11-14', 'UB003', 'endless'), (7, 'voice', 60, 'infinity', 'UB003', 'a time that never is')
) AS bad (tenant_id, channel, measured, at, problem, name);
SELECT is((price_usage(7, 'voice', 'minute', 0, NULL, '2025-11-14')).total_cost, 0::numeric, 'nothing costs nothing');

INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, unit_price, effective_from, connection_fee, terms)
VALUES (7, 'voice', 'minute', '42', 0.1, '2025-01-01', 0.05, '{"maximum_charge": "0.3"}');
SELECT is((price_usage(7, 'voice', 'minute', 60, '42', '2025-11-14')).total_cost, 0.15, 'a price with a most, and less than it');
SELECT is((price_usage(7, 'voice', 'minute', 600, '42', '2025-11-14')).total_cost, 0.3, 'no more than it');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from, connection_fee, terms)
VALUES (7, 'fax', 'sheet', 0.1, '2025-01-01', 0.05, '{"maximum_charge": "9"}');
SELECT is((price_usage(7, 'fax', 'sheet', 3, NULL, '2025-11-14')).total_cost, 0.35, 'what is no minute is not divided by sixty');
SELECT is((price_usage(7, 'voice', 'minute', 0, '42', '2025-11-14')).total_cost, 0::numeric, 'and no fee for nothing');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, effective_from, charge_model, terms)
VALUES (7, 'voice', 'minute', '48', '2025-01-01', 'stepped', '{"steps": [{"from": 0, "unit_price": 0.2, "per": 60, "increment": 60}, {"from": 60, "unit_price": 0.1, "per": 60}]}');
SELECT is(
    (SELECT (trim_scale(p.billed_quantity), trim_scale(p.total_cost))::text FROM price_usage(7, 'voice', 'minute', 90, '48', '2025-11-14') AS p), '(1.5,0.25)',
    'a price by steps bills what each step bills');
SELECT is((price_usage(7, 'voice', 'minute', 30, '48', '2025-11-14')).billed_quantity::numeric, 1::numeric, 'a step that has begun as a whole');

SELECT * FROM finish();
ROLLBACK;
