-- An issued invoice has the next number, is never changed, and what comes later is on the next one.
BEGIN;
SELECT plan(62);
\ir fixtures/tenants.sql

CREATE FUNCTION pg_temp.adjustments(p_invoice_id bigint)
RETURNS SETOF text
LANGUAGE sql
AS $$SELECT format('%s: %s', description, amount) FROM billing.get_invoice_lines(p_invoice_id) WHERE kind = 'adjustment' ORDER BY id$$;

-- Globex (8) is on the professional plan, 99 a month; Acme (7) pays no fee.
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES
    (1, 8, 'A', 'completed', '2025-11-01 00:00:00+00', 315), (2, 8, 'B', 'completed', '2025-11-20 10:00:00+00', 285),
    (3, 7, 'C', 'completed', '2025-11-20 10:00:00+00', 600);
SELECT generate_invoice(8, '2025-11-01') AS november, generate_invoice(7, '2025-11-01') AS acme
\gset

-- From draft to pending.
SELECT throws_ok(format($$SELECT finalize_invoice(%s, p_at => '2025-11-30 23:59:59+00')$$, :november), 'UB006', NULL, 'before its period is over it is UB006');
INSERT INTO tenant_billing (tenant_id, grace, payment_days) VALUES (8, '2 days', 10);
SELECT throws_ok(format($$SELECT finalize_invoice(%s, p_at => '2025-12-02 23:59:59+00')$$, :november), 'UB006', NULL, 'so it is in the grace period');
SELECT throws_ok(format('SELECT finalize_invoice(%s, 99.16)', :november), 'UB007', NULL, 'with another total than expected it is UB007');
SELECT is((SELECT status FROM get_invoice(:november)), 'draft', 'and stays a draft');
SELECT is(finalize_invoice(:november, 99.15, '2025-12-03 00:00:00+00'), :november::bigint, 'then it is issued');
SELECT results_eq(
    format('SELECT status, invoice_number, due_date, total_amount, finalized_at FROM get_invoice(%s)', :november),
    $$VALUES ('pending', 'INV-2025-11-0001', '2025-12-13'::date, 99.15, '2025-12-03 00:00:00+00'::timestamptz)$$,
    'with a number, a due date and the time');
SELECT is(finalize_invoice(:november), :november::bigint, 'again, nothing changes');
SELECT throws_ok(format('SELECT finalize_invoice(%s, 1)', :november), 'UB007', NULL, 'expected to be another it is UB007');
SELECT is(generate_invoice(8, '2025-11-17'), :november::bigint, 'drawing up its period gives it as it is');
SELECT is((SELECT count(*) FROM issued_documents), 1::bigint, 'one document was issued');
SELECT is(finalize_invoice(:acme, p_at => '2025-12-03 00:00:00+00'), :acme::bigint, 'the next one');
SELECT is((SELECT invoice_number FROM get_invoice(:acme)), 'INV-2025-11-0002', 'has the next number');
SELECT results_eq(
    'SELECT number, chain_hash = chain_hash(lag(chain_hash, 1, decode(repeat(''00'', 32), ''hex'')) OVER (ORDER BY number), ''INV-2025-11-000'' || number, content_hash) FROM issued_documents',
    'VALUES (1::bigint, true), (2, true)', 'and follows from it');
SELECT is(
    (SELECT parties -> 'buyer' ->> 'name' FROM get_invoice(:acme)), (SELECT company_name FROM tenants WHERE id = 7), 'it says whom it is for');

-- Immutable.
SELECT throws_ok(format('UPDATE invoices SET subtotal = 0, total_amount = 0 WHERE id = %s', :november), 'UB014', NULL, 'its amounts cannot be changed');
SELECT throws_ok(format('UPDATE invoices SET status = ''draft'' WHERE id = %s', :november), 'UB014', NULL, 'nor can it be a draft again');
SELECT throws_ok(format('DELETE FROM invoices WHERE id = %s', :november), 'UB014', NULL, 'nor be deleted');
SELECT throws_ok(format('UPDATE invoice_line_items SET amount = 0 WHERE invoice_id = %s', :november), 'UB014', NULL, 'its lines cannot be changed');
SELECT throws_ok(format('DELETE FROM invoice_line_items WHERE invoice_id = %s', :november), 'UB014', NULL, 'nor deleted');
SELECT throws_ok(
    format('INSERT INTO invoice_line_items (tenant_id, invoice_id, kind, description, quantity, amount) VALUES (8, %s, ''usage'', ''x'', 1, 1)', :november),
    'UB014', NULL, 'nor added to');
SELECT throws_ok('TRUNCATE issued_documents', 'UB014', NULL, 'the register cannot be emptied');
SELECT throws_ok(format('UPDATE invoices SET status = ''paid'', paid_at = now() WHERE id = %s', :november), '23514', NULL, 'and it is not paid by saying so');
SELECT throws_ok($$INSERT INTO invoices (tenant_id, period_start, period_end, currency, status) VALUES (8, '2026-01-01', '2026-01-31', 'USD', 'pending')$$,
    '23514', NULL, 'an invoice without a number is none');

-- Explained.
SELECT results_eq(
    format('SELECT resource_id, total_cost::numeric(9, 5), share FROM get_invoice_lines(%s) AS l, explain_invoice_line(l.id) WHERE l.kind = ''usage'' ORDER BY 1', :november),
    $$VALUES ('A', 0.07875, 0.08), ('B', 0.07125, 0.07)$$, 'a line is explained call by call, in cents');
SELECT is_empty(format('SELECT e.* FROM get_invoice_lines(%s) AS l, explain_invoice_line(l.id) AS e WHERE l.kind = ''plan_fee''', :november), 'a fee has no calls behind it');
SELECT throws_ok('SELECT * FROM explain_invoice_line(999999)', 'UB011', NULL, 'an unknown line is UB011');
SELECT results_eq(
    $$SELECT t.disposition, t.invoice_number, t.description FROM usage_records AS r, trace_record(r.id) AS t WHERE r.resource_id = 'B'$$,
    $$VALUES ('invoiced', 'INV-2025-11-0001', 'Voice Calls - 10 minutes')$$, 'and a call finds its invoice');

-- Late and corrected usage.
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds) VALUES (4, 8, 'D', 'completed', '2025-11-30 23:00:00+00', 600);
UPDATE calls SET duration_seconds = 215 WHERE id = 1;
SELECT is((SELECT total_amount FROM get_invoice(:november)), 99.15, 'what comes later does not change it');
SELECT results_eq(
    'SELECT disposition, count(*), sum(total_cost)::numeric(9, 5) FROM usage_disposition WHERE tenant_id = 8 GROUP BY 1 ORDER BY 1',
    $$VALUES ('invoiced', 2::bigint, 0.15), ('late', 3, 0.125)$$, 'it is late, and is seen to be');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT generate_invoice(8, '2025-12-01') AS december
\gset
SELECT set_eq(format('SELECT * FROM pg_temp.adjustments(%s)', :december),
    ARRAY['Usage of 2025-11-01 to 2025-11-30 recorded or corrected since: 0.13'], 'the next draft has it as an adjustment that names the period');
SELECT is(generate_invoice(8, '2025-12-01'), :december::bigint, 'drawn up again');
SELECT set_eq(format('SELECT * FROM pg_temp.adjustments(%s)', :december),
    ARRAY['Usage of 2025-11-01 to 2025-11-30 recorded or corrected since: 0.13'], 'it has it once');
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds) VALUES (5, 8, 'E', 'completed', '2025-11-30 23:10:00+00', 600);
SELECT is(finalize_invoice(:december, p_at => '2026-01-03 00:00:00+00'), :december::bigint, 'issued after one more late call');
SELECT set_eq(format('SELECT * FROM pg_temp.adjustments(%s)', :december),
    ARRAY['Usage of 2025-11-01 to 2025-11-30 recorded or corrected since: 0.28'], 'it has that, too, on a line that is rounded once');
SELECT results_eq(
    format('SELECT e.resource_id, e.kind, e.share FROM get_invoice_lines(%s) AS l, explain_invoice_line(l.id) AS e WHERE l.kind = ''adjustment'' ORDER BY e.record_id', :december),
    $$VALUES ('D', 'charge', 0.15), ('A', 'reversal', -0.08), ('A', 'charge', 0.06), ('E', 'charge', 0.15)$$, 'an adjustment is explained as well');
SELECT results_eq(
    'SELECT disposition, count(*), sum(total_cost)::numeric(9, 5) FROM usage_disposition WHERE tenant_id = 8 GROUP BY 1 ORDER BY 1',
    $$VALUES ('adjusted', 4::bigint, 0.275), ('invoiced', 2, 0.15)$$, 'nothing is late any more');

-- Void.
SELECT throws_ok(format('SELECT void_invoice(%s, ''wrong'')', :november), 'UB007', NULL, 'an invoice that another corrects cannot be voided');
SELECT throws_ok(format('SELECT void_invoice(%s, NULL)', :december), 'UB012', NULL, 'nor without a reason');
SELECT is(void_invoice(:december, 'wrong'), :december::bigint, 'the other can');
SELECT is(void_invoice(:december, 'again'), :december::bigint, 'twice is once');
SELECT results_eq(format('SELECT status, invoice_number, void_reason FROM get_invoice(%s)', :december), $$VALUES ('void', 'INV-2025-12-0001', 'wrong')$$, 'it keeps its number');
SELECT throws_ok(format('SELECT finalize_invoice(%s)', :december), 'UB007', NULL, 'and stays void');
SELECT throws_ok(format('SELECT record_payment(%s, 1, ''cash'', ''p0'')', :december), 'UB007', NULL, 'nobody pays it');
SELECT generate_invoice(8, '2025-12-01') AS again
\gset
SELECT isnt(:again, :december, 'its period is invoiced anew');
SELECT set_eq(format('SELECT * FROM pg_temp.adjustments(%s)', :again),
    ARRAY['Usage of 2025-11-01 to 2025-11-30 recorded or corrected since: 0.28'], 'with the adjustments that it bore');
SELECT is(void_invoice(:november, 'all wrong'), :november::bigint, 'then the first can be voided');
SELECT generate_invoice(8, '2025-11-01') AS once_more
\gset
SELECT is((SELECT total_amount FROM get_invoice(:once_more)), 99.43, 'and its period is invoiced with all there is by now');
SELECT is(finalize_invoice(:once_more, p_at => '2026-01-03 00:00:00+00'), :once_more::bigint, 'issued');
SELECT is((SELECT invoice_number FROM get_invoice(:once_more)), 'INV-2025-11-0003', 'under the next number');
SELECT is(finalize_invoice(generate_invoice(8, '2025-12-01'), p_at => '2026-01-03 00:00:00+00'), :again::bigint, 'and the one after it');
SELECT is_empty(format('SELECT * FROM pg_temp.adjustments(%s)', :again), 'has nothing to correct');
SELECT results_eq(
    'SELECT disposition, count(*), sum(total_cost)::numeric(9, 5) FROM usage_disposition WHERE tenant_id = 8 GROUP BY 1 ORDER BY 1',
    $$VALUES ('invoiced', 6::bigint, 0.425)$$, 'all of it is on the invoice of its days');

-- Fails closed.
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (6, 7, 'completed', '2025-12-20 10:00:00+00', 60);
SELECT generate_invoice(7, '2025-12-01') AS broken
\gset
UPDATE usage_deltas SET total_cost = total_cost + 1 WHERE tenant_id = 7 AND summary_date = '2025-12-20';
SELECT throws_ok(format('SELECT finalize_invoice(%s)', :broken), 'UB006', NULL, 'where records and sums differ nothing is issued');
UPDATE usage_deltas SET total_cost = total_cost - 1 WHERE tenant_id = 7 AND summary_date = '2025-12-20';
INSERT INTO messages (id, tenant_id, channel, status, sent_at) VALUES (1, 7, 'fax', 'sent', '2025-12-14 10:00:00+00');
SELECT throws_ok(format('SELECT finalize_invoice(%s)', :broken), 'UB006', NULL, 'nor while usage is not rated');
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from) VALUES ('fax', 'message', 0.1, '2020-01-01');
SELECT lives_ok('SELECT retry_unrated()', 'when it is');
SELECT lives_ok(format('SELECT finalize_invoice(%s)', :broken), 'it is issued');
SELECT throws_ok('SELECT finalize_invoice(999999)', 'UB011', NULL, 'an unknown invoice is UB011');

-- A billing day that moves.
UPDATE tenants SET billing_cycle_day = 15 WHERE id = 8;
SELECT lives_ok($$SELECT generate_invoice(8, day) FROM unnest('{2026-01-01,2026-01-15,2026-02-14}'::date[]) AS day$$, 'in the middle of a period');
SELECT results_eq(
    $$SELECT period_start, period_end FROM get_invoices(8, 'draft') ORDER BY period_start$$,
    $$VALUES ('2026-01-01'::date, '2026-01-14'::date), ('2026-01-15', '2026-02-14')$$,
    'leaves no day out and bills none twice');
SELECT results_eq(
    $$SELECT kind, description, amount FROM get_invoice_lines(generate_invoice(8, '2026-01-01'))$$,
    $$VALUES ('proration', 'Professional Plan, 2026-01-01 to 2026-01-14, 14 of 31 days', 44.71)$$, 'and the fee is of those days');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
