-- Included credit comes with each period, pays for that period's usage, and what is left of it lapses.
BEGIN;
SELECT plan(32);
\ir fixtures/tenants.sql
CREATE FUNCTION pg_temp.entries(p_tenant_id bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(reference || ' ' || trim_scale(amount), ', ' ORDER BY id) FROM credit_entries WHERE tenant_id = p_tenant_id;
$$;
CREATE FUNCTION pg_temp.balance(p_tenant_id bigint, p_as_of timestamptz DEFAULT now()) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', trim_scale(credit_balance), trim_scale(current_usage), trim_scale(remaining_credits))
    FROM get_tenant_balance(p_tenant_id, p_as_of);
$$;

-- A period that is over: 70 used of it by two calls, 50 included.
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES
    (1, 7, 'CA1', 'completed', '2025-11-10 10:00:00+00', 80000),
    (2, 7, 'CA2', 'completed', '2025-11-20 15:00:00+00', 40000),
    (3, 7, 'CA3', 'completed', '2025-12-02 12:00:00+00', 160000);
SELECT is(grant_included_credits(7, '2025-11-25'), 50::numeric, 'a period''s credit is granted');
SELECT is(grant_included_credits(7, '2025-11-03'), 0::numeric, 'once');
SELECT results_eq(
    $$SELECT valid_from, expires_at FROM credit_entries WHERE tenant_id = 7$$,
    $$VALUES ('2025-11-01 00:00:00+00'::timestamptz, '2025-12-01 00:00:00+00'::timestamptz)$$, 'for that period');
SELECT is(pg_temp.balance(7), '30 70 -40', 'what the period did not use has lapsed, before anybody enters it');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 7), 50.00, 'though it is on the sum of entries until then');
SELECT is(expire_credit(7), 20.0000000000, 'it is entered');
SELECT is(expire_credit(7), 0::numeric, 'once');
SELECT is(pg_temp.entries(7), format('included 2025-11-01 50, expiry %s -20', (SELECT min(id) FROM credit_entries WHERE tenant_id = 7)), 'as an expiry of that lot');
SELECT is(pg_temp.balance(7), '30 70 -40', 'which changes nothing');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 7), 30.0000000000, 'and the sum of entries says the same');

-- Usage taken back, after it held credit that has expired.
UPDATE calls SET status = 'failed' WHERE id = 2;
SELECT is(pg_temp.balance(7), '20 60 -40', 'what usage gives back after the end lapses');
SELECT is(expire_credit(7), 10.0000000000, 'and is entered');

-- The invoice of a period takes the credit of that period, not of the next.
SELECT grant_included_credits(7, '2025-12-05');
SELECT is(pg_temp.balance(7), '60 60 0', 'December has its own');
SELECT is(spend_credit(7, 25, 'invoice', 'invoice 1', '2025-11-30 23:59:59.999999+00'), 20.0000000000, 'November''s invoice takes what November left');
SELECT results_eq(
    $$SELECT trim_scale(remaining) FROM list_credit_lots(7)$$, 'VALUES (0::numeric), (50)', 'and leaves December''s');

-- A change of plan.
SELECT is(grant_included_credits(8), 50.00, 'the present period');
CREATE TEMPORARY TABLE share AS
SELECT (p.period_end - (now() AT TIME ZONE 'UTC')::date + 1)::numeric / (p.period_end - p.period_start + 1) AS share
FROM get_billing_period(8) AS p;
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (10, 8, 'completed', now() - interval '1 second', 60);
UPDATE tenants SET plan_id = 4 WHERE id = 8;
SELECT is(grant_included_credits(8), round(50 + 150 * share, 2) - 50, 'a larger plan adds its share of the days left') FROM share;
SELECT is(grant_included_credits(8), 0::numeric, 'once');
UPDATE tenants SET plan_id = 2 WHERE id = 8;
SELECT is((SELECT trim_scale(sum(amount)) FROM credit_entries WHERE tenant_id = 8), trim_scale(round(50 + 150 * share, 2)), 'a smaller plan') FROM share;
SELECT cmp_ok(grant_included_credits(8), '<', 0::numeric, 'takes back');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 8), round(50 - 40 * share, 2), 'its share of what is unused') FROM share;

-- Another billing cycle, another zone: the credit of the old period lasts, and nothing is granted twice.
INSERT INTO tenants (id, plan_id) VALUES (10, 1);
SELECT is(grant_included_credits(10, '2025-11-20'), 50.00, 'November''s credit');
UPDATE tenants SET billing_cycle_day = 15, timezone = 'Asia/Tokyo' WHERE id = 10;
SELECT is(grant_included_credits(10, '2025-11-20'), 0::numeric, 'lasts to its end where the period was moved');
-- November 15 to December 14 has 30 days; from December 1, 09:00 in Tokyo, 14 of them are left.
SELECT is(grant_included_credits(10, '2025-12-02'), 23.33, 'and the new period has its share for the days after it, 14 of 30');

-- Tenants in another zone; housekeeping for all.
SELECT cmp_ok(grant_due_credits(), '>=', 1::bigint, 'housekeeping grants to who has none');
SELECT is(
    (SELECT expires_at AT TIME ZONE 'Asia/Tokyo' FROM credit_entries WHERE tenant_id = 9),
    (SELECT (period_end + 1)::timestamp FROM get_billing_period(9)), 'until midnight of the tenant''s own zone');
SELECT is(grant_due_credits(), 0::bigint, 'once');
SELECT is(expire_due_credit(), 2::bigint, 'and enters what has lapsed, here December''s of one and two periods'' of another');
UPDATE credit_expiries SET look_at = now() WHERE expires_at < now();
SELECT is(expire_due_credit(), 0::bigint, 'once');

-- An invoice that is voided gives back what it took, and that is no second grant.
INSERT INTO pricing_plans (id, name, display_name, monthly_base_fee, included_credits) VALUES (20, 'fee', 'Fee', 10, 50);
INSERT INTO tenants (id, plan_id) VALUES (11, 20);
SELECT record_usage(11, 'sms', 'message', 'S1', 2000, '{}', '2025-11-10'), grant_included_credits(11, '2025-11-20') \gset
SELECT finalize_invoice(generate_invoice(11, '2025-11-01')) AS voided \gset
SELECT void_invoice(:voided, 'a mistake') \gset
SELECT is(grant_included_credits(11, '2025-11-20'), 0::numeric, 'after a void invoice, too, nothing is granted or taken back again');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 11), 50.00, 'all of it is there');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');

SELECT * FROM finish();
ROLLBACK;
