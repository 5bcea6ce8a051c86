-- Credit is consumed by priority, earliest expiry, granted before paid, oldest first; and every lot says what is left of it.
BEGIN;
SELECT plan(25);
\ir fixtures/tenants.sql

-- Enters credit under a fixed reference; the lots as "reference remaining".
CREATE FUNCTION pg_temp.lots(p_as_of timestamptz DEFAULT now()) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(e.reference || ' ' || trim_scale(l.remaining), ', ' ORDER BY l.line)
    FROM list_credit_lots(7, p_as_of) WITH ORDINALITY AS l (entry_id, kind, priority, expires_at, amount, remaining, valid_from, line)
    INNER JOIN credit_entries AS e ON e.tenant_id = 7 AND e.id = l.entry_id
    WHERE l.remaining > 0;
$$;

SELECT is_empty('SELECT * FROM list_credit_lots(7)', 'without entries there are no lots');
SELECT is(spend_credit(7, 5, 'invoice', 'nothing there'), 0::numeric, 'and nothing to spend');
SELECT is_empty('SELECT * FROM credit_entries WHERE tenant_id = 7', 'which leaves no entry');

SELECT grant_credit(7, 10, 'purchase', 'paid');
SELECT grant_credit(7, 10, 'grant', 'given');
SELECT grant_credit(7, 10, 'grant', 'given later');
SELECT grant_credit(7, 10, 'purchase', 'ends late', now() + interval '2 days');
SELECT grant_credit(7, 10, 'purchase', 'ends soon', now() + interval '1 day');
SELECT grant_credit(7, 10, 'grant', 'last', now() + interval '1 hour', 1);
SELECT is(pg_temp.lots(), 'ends soon 10, ends late 10, given 10, given later 10, paid 10, last 10',
    'priority comes first, then the earliest expiry, granted before paid, oldest first');

SELECT is(spend_credit(7, 15, 'invoice', 'invoice 1'), 15::numeric, 'what is there is spent');
SELECT is(pg_temp.lots(), 'ends late 5, given 10, given later 10, paid 10, last 10', 'in that order');
SELECT is(spend_credit(7, 15, 'invoice', 'invoice 1'), 15::numeric, 'the same reference again says the same');
SELECT is(pg_temp.lots(), 'ends late 5, given 10, given later 10, paid 10, last 10', 'and takes nothing');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 7), 45::numeric, 'the balance is the sum of entries');
SELECT throws_ok($$SELECT spend_credit(7, 14, 'invoice', 'invoice 1')$$, 'UB004', NULL, 'the same reference for less than was taken is UB004');
SELECT throws_ok($$SELECT spend_credit(7, 15, 'refund', 'invoice 1')$$, 'UB004', NULL, 'with another kind as well');
SELECT throws_ok(format($$SELECT spend_credit(7, %s, 'invoice', 'bad')$$, amount), 'UB003', NULL, 'spending ' || amount || ' is UB003')
FROM unnest(ARRAY['NULL', '0', '-1', '''NaN''']) AS amount;
SELECT throws_ok($$SELECT grant_credit(7, 1, 'grant', 'late', now())$$, 'UB012', NULL, 'credit that has expired already is UB012');
SELECT throws_ok($$SELECT grant_credit(7, 1, 'grant', 'late', '20260-12-31')$$, 'UB012', NULL, 'and so is a year of five digits');
SELECT is(spend_credit(7, 100, 'invoice', 'invoice 2'), 45::numeric, 'never more than is there');
SELECT is(pg_temp.lots(), NULL, 'then all lots are used up');
SELECT is((SELECT sum(u.amount) FROM credit_uses AS u WHERE u.tenant_id = 7), 60::numeric, 'and every entry that took says from where');

SELECT grant_credit(7, 10, 'grant', 'gift'), grant_credit(7, 10, 'purchase', 'bought')
\gset
SELECT is(spend_credit(7, 15, 'refund', 'paid back'), 10::numeric, 'what was given is not paid back');
SELECT is(pg_temp.lots(), 'gift 10', 'and stays');

-- What has lapsed pays for nothing, whether that was entered or not.
SELECT enter_credit(7, 40, 'purchase', 'lapsed', p_expires_at => now() - interval '1 minute')
\gset
SELECT is((SELECT credit_balance FROM get_tenant_balance(7)), 10::numeric, 'what has lapsed is on no balance');
SELECT is(spend_credit(7, 30, 'invoice', 'invoice 3', now() - interval '1 day'), 10::numeric, 'and is not spent on what was before it lapsed');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');

SELECT * FROM finish();
ROLLBACK;
