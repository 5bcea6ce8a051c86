-- A tenants table of the application's own making, with columns looser than ours, breaks neither its writes nor the billing.
BEGIN;
SELECT plan(15);
\ir fixtures/story.sql

ALTER TABLE tenants
    ALTER COLUMN timezone DROP NOT NULL, ALTER COLUMN currency DROP NOT NULL, ALTER COLUMN credit_balance DROP NOT NULL,
    DROP CONSTRAINT tenants_timezone_is_known, DROP CONSTRAINT tenants_currency_is_iso_4217;

SELECT lives_ok(
    $$INSERT INTO tenants (id, company_name, plan_id, timezone, currency) VALUES (70, 'Says nothing', NULL, NULL, NULL)$$,
    'a tenant without plan, zone and currency can be inserted');
SELECT lives_ok(
    $$INSERT INTO tenants (id, company_name, timezone) VALUES (71, 'Lost', 'Middle/Earth'), (72, 'Moves', 'UTC')$$,
    'so can one in a zone that is none');
SELECT lives_ok($$UPDATE tenants SET timezone = NULL, currency = NULL WHERE id = 72$$, 'a tenant may lose them');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
SELECT id, id, 'completed', '2025-11-14 10:00:00+00', 60 FROM tenants;
SELECT is((SELECT count(*) FROM calls), 3::bigint, 'their calls complete');
SELECT is(pg_temp.story('calls', 70), 'charge 0.015', 'without a currency they are billed in dollars, at the default price');
SELECT is((SELECT usage_date FROM usage_records WHERE source_id = 70), '2025-11-14', 'without a zone on the day in UTC');
SELECT is(pg_temp.story('calls', 72), 'charge 0.015', 'also when they had them before');
SELECT isnt(
    COALESCE(pg_temp.waits_for('calls', 71), pg_temp.story('calls', 71)), NULL,
    'in a zone that is none they are billed or set aside, but not lost');
SELECT lives_ok('SELECT * FROM get_current_period_usage(70)', 'their reports can be read');
SELECT lives_ok('SELECT * FROM get_tenant_balance(70)', 'and their balance');

-- An amount is of its currency.
INSERT INTO tenants (id) VALUES (73), (74), (75);
SELECT grant_included_credits(73), grant_credit(74, 5, 'purchase', 'order'), finalize_invoice(generate_invoice(75, '2025-11-01'))
\gset
SELECT lives_ok($$UPDATE tenants SET currency = 'JPY' WHERE id = 73$$, 'a tenant that has only what its plan includes may move to another currency');
SELECT is(grant_included_credits(73), -50.0, 'and leaves that behind');
SELECT throws_ok($$UPDATE tenants SET currency = 'JPY' WHERE id = 74$$, 'UB012', NULL, 'one that has bought credit may not');
SELECT throws_ok($$UPDATE tenants SET currency = 'JPY' WHERE id = 75$$, 'UB012', NULL, 'nor one with an invoice');
SELECT is_empty($$SELECT * FROM verify() WHERE check_name NOT IN ('usage is rated')$$, 'every other promise holds');

SELECT * FROM finish();
ROLLBACK;
