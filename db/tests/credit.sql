-- A tenant's balance is the sum of its entries, each entered once.
BEGIN;
SELECT plan(28);
\ir fixtures/tenants.sql

SELECT grant_credit(7, 100, 'purchase', 'order 1') AS entry
\gset
SELECT is((SELECT credit_balance FROM tenants WHERE id = 7), 100::numeric, 'credit that is granted is on the balance');
SELECT is(grant_credit(7, 100, 'purchase', 'order 1'), :entry::bigint, 'the same reference again gives the same entry');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 7), 100::numeric, 'and adds nothing');
SELECT isnt(grant_credit(8, 100, 'purchase', 'order 1'), :entry::bigint, 'another tenant''s reference of that name is another');
SELECT isnt(grant_credit(7, 0.0000000001, 'grant', 'order 2', '2026-12-31 00:00:00+00'), :entry::bigint, 'another reference adds another entry');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 7), 100.0000000001, 'to the last decimal');

SELECT throws_ok($$SELECT grant_credit(7, 200, 'purchase', 'order 1')$$, 'UB004', NULL, 'the same reference with another amount is UB004');
SELECT throws_ok($$SELECT grant_credit(7, 100, 'refund', 'order 1')$$, 'UB004', NULL, 'with another kind as well');
SELECT throws_ok(format($$SELECT grant_credit(7, %s, 'purchase', 'bad')$$, amount), 'UB003', NULL, 'an amount of ' || amount || ' is UB003')
FROM unnest(ARRAY['NULL', '0', '-1', '''NaN''', '''Infinity''', '0.00000000001']) AS amount;
SELECT throws_ok($$SELECT grant_credit(999, 1, 'purchase', 'x')$$, 'UB002', NULL, 'credit for an unknown tenant is UB002');
SELECT throws_ok($$SELECT grant_credit(7, 1, 'bribe', 'x')$$, 'UB012', NULL, 'of an unknown kind UB012');
SELECT throws_ok($$SELECT grant_credit(7, 1, 'purchase', NULL)$$, 'UB012', NULL, 'without a reference as well');
SELECT is((SELECT count(*) FROM credit_entries WHERE tenant_id = 7), 2::bigint, 'what is refused enters nothing');

-- The balance, and what is left of it.
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
VALUES (1, 7, 'completed', '2025-10-14 10:00:00+00', 60000), (2, 7, 'completed', '2025-11-14 10:00:00+00', 6000);
SELECT results_eq(
    'SELECT credit_balance, included_credits, trim_scale(current_usage), reserved, trim_scale(remaining_credits) FROM get_tenant_balance(7)',
    'VALUES (100.0000000001, 50::numeric, 16.5, 0::numeric, 83.5000000001)',
    'remaining is the balance less the usage that is not yet invoiced');
SELECT results_eq(
    $$SELECT credit_balance, trim_scale(current_usage), trim_scale(remaining_credits) FROM get_tenant_balance(7, '2025-10-20 00:00:00+00')$$,
    'VALUES (0::numeric, 15::numeric, -15::numeric)',
    'as of an earlier day it has what was entered and used by then');
SELECT results_eq(
    'SELECT credit_balance, included_credits, current_usage, remaining_credits FROM get_tenant_balance(9)',
    'VALUES (0::numeric, 10::numeric, 0::numeric, 0::numeric)', 'a tenant without usage or credit has nothing');

SELECT lives_ok($$SELECT generate_invoice(7, '2025-10-01')$$, 'a draft');
SELECT is((SELECT trim_scale(current_usage) FROM get_tenant_balance(7)), 16.5, 'is no invoice yet');
SELECT lives_ok('SELECT finalize_invoice(id) FROM invoices WHERE tenant_id = 7', 'it is issued');
SELECT is((SELECT trim_scale(current_usage) FROM get_tenant_balance(7, now() + interval '1 day')), 1.5, 'once it is final, its usage is invoiced');
SELECT throws_ok('SELECT * FROM get_tenant_balance(999)', 'UB002', NULL, 'the balance of an unknown tenant is UB002');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
UPDATE tenants SET credit_balance = credit_balance + 1 WHERE id = 8;
SELECT results_eq(
    'SELECT check_name, subject FROM verify()', $$VALUES ('balance equals credit entries', 'tenant 8')$$,
    'a balance that somebody else wrote is found out');

SELECT * FROM finish();
ROLLBACK;
