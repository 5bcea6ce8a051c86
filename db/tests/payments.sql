-- Money: payments in part and too much, overdue, credit notes never above the invoice, refunds out of credit.
BEGIN;
SELECT plan(58);
\ir fixtures/tenants.sql

-- Globex (8): 99 and a tax of 20 % make 118.80 for November, and for December.
INSERT INTO tax_rules (name, percent) VALUES ('VAT', 20);
SELECT finalize_invoice(generate_invoice(8, '2025-11-01'), p_at => '2025-12-01') AS november,
    finalize_invoice(generate_invoice(8, '2025-12-01'), p_at => '2026-01-01') AS december,
    generate_invoice(8, '2026-01-01') AS draft
\gset
CREATE FUNCTION pg_temp.state(p_invoice_id bigint)
RETURNS text
LANGUAGE sql
AS $$SELECT format('%s: %s paid, %s credited of %s', status, amount_paid, amount_credited, total_amount) FROM billing.invoices WHERE id = p_invoice_id$$;

SELECT is(pg_temp.state(:november), 'pending: 0 paid, 0 credited of 118.80', 'an issued invoice is pending');
SELECT record_payment(:november, 18.80, 'bank_transfer', 'B1') AS first
\gset
SELECT is(pg_temp.state(:november), 'pending: 18.80 paid, 0 credited of 118.80', 'a part is paid');
SELECT is(record_payment(:november, 18.80, 'bank_transfer', 'B1'), :first::bigint, 'the same reference again');
SELECT is(pg_temp.state(:november), 'pending: 18.80 paid, 0 credited of 118.80', 'pays nothing twice');
SELECT throws_ok(format('SELECT record_payment(%s, 19, ''bank_transfer'', ''B1'')', :november), 'UB004', NULL, 'with another amount it is UB004');
SELECT throws_ok(format('SELECT record_payment(%s, 18.80, ''bank_transfer'', ''B1'')', :december), 'UB004', NULL, 'for another invoice, too');

-- Overdue.
SELECT is(mark_overdue('2025-12-31 23:59:59+00'), 0::bigint, 'on its due day it is not overdue');
SELECT is(mark_overdue('2026-01-01 00:00:00+00'), 1::bigint, 'the day after it is');
SELECT is(pg_temp.state(:november), 'overdue: 18.80 paid, 0 credited of 118.80', 'and says so');
SELECT is((SELECT dunning_level FROM invoices WHERE id = :november), 1, 'a reminder is due');
SELECT is(mark_overdue('2026-01-02 00:00:00+00'), 0::bigint, 'once');
SELECT is(mark_overdue('2026-01-30 00:00:00+00'), 1::bigint, 'later');
SELECT is((SELECT dunning_level FROM invoices WHERE id = :november), 3, 'the last one');
SELECT results_eq(
    format('SELECT event, amount, detail FROM invoice_events WHERE invoice_id = %s ORDER BY id', :november),
    $$VALUES ('issued', 118.80, 'INV-2025-11-0001'), ('payment', 18.80, 'B1'), ('overdue', NULL, NULL), ('dunning', NULL, 'reminder'), ('dunning', NULL, 'last reminder')$$,
    'every step is an event');
SELECT throws_ok(format('SELECT void_invoice(%s, ''late'')', :november), 'UB007', NULL, 'what is paid in part cannot be voided');

-- Paid, and too much.
SELECT lives_ok(format('SELECT record_payment(%s, 110, ''stripe'', ''S1'')', :november), 'more than is due');
SELECT is(pg_temp.state(:november), 'paid: 118.80 paid, 0 credited of 118.80', 'pays it');
SELECT is((SELECT paid_at IS NOT NULL AND payment_reference = 'S1' FROM invoices WHERE id = :november), true, 'it says when and by what');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 8), 10.00, 'the rest is credit');
SELECT throws_ok(format('SELECT void_invoice(%s, ''late'')', :november), 'UB007', NULL, 'what is paid cannot be voided');
SELECT lives_ok(format('SELECT record_payment(%s, 5, ''cash'', ''C1'')', :november), 'paid once more');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 8), 15.00, 'all of it is credit');
SELECT grant_credit(8, 3, 'payment', 'payment ' || max(id) + 1) FROM payments
\gset
SELECT record_payment(:november, 3, 'cash', 'C3')
\gset
SELECT is((SELECT credit_balance FROM tenants WHERE id = 8), 21.00, 'whatever the application calls a payment of its own');
SELECT spend_credit(8, 6, 'adjustment', 'as it was')
\gset

-- Refused.
SELECT throws_ok(format('SELECT record_payment(%s, 1, ''cash'', ''C2'')', :draft), 'UB007', NULL, 'a draft cannot be paid');
SELECT throws_ok(format('SELECT record_payment(%s, 1, ''cash'', ''C2'', ''EUR'')', :december), 'UB012', NULL, 'in another currency it is UB012');
SELECT throws_ok(format('SELECT record_payment(%s, %L, ''cash'', ''C2'')', :december, amount), 'UB003', NULL, format('%s is no payment', COALESCE(amount, 'NULL')))
FROM unnest('{0,-1,0.001,NaN,Infinity,NULL}'::text[]) AS amount;
SELECT throws_ok(format('SELECT record_payment(%s, 1, ''cash'', '''')', :december), 'UB012', NULL, 'without a reference it is UB012');
SELECT throws_ok('SELECT record_payment(999999, 1, ''cash'', ''C2'')', 'UB011', NULL, 'for an unknown invoice UB011');
SELECT throws_ok('DELETE FROM payments', 'UB014', NULL, 'payments stay');

-- Credit notes.
SELECT issue_credit_note(:december, 33.33, 'Outage') AS note
\gset
SELECT results_eq(
    format('SELECT credit_note_number, subtotal, tax, total_amount, to_balance FROM credit_notes WHERE id = %s', :note),
    $$VALUES ('CN-2025-12-0001', 27.77, 5.56, 33.33, 0::numeric)$$, 'a credit note has a number of its own, and its tax');
SELECT is(pg_temp.state(:december), 'pending: 0 paid, 33.33 credited of 118.80', 'less is due');
SELECT is(issue_credit_note(:december, 33.33, 'Outage'), :note::bigint, 'for the same reason again it is the same');
SELECT throws_ok(format('SELECT issue_credit_note(%s, 33.34, ''Outage'')', :december), 'UB004', NULL, 'of another amount it is UB004');
SELECT throws_ok(format('SELECT issue_credit_note(%s, 85.48, ''More'')', :december), 'UB007', NULL, 'above the rest it is UB007');
SELECT throws_ok(format('SELECT issue_credit_note(%s, 1, ''More'')', :draft), 'UB007', NULL, 'of a draft, too');
SELECT throws_ok(format('SELECT issue_credit_note(%s, 0, ''More'')', :december), 'UB003', NULL, 'of nothing it is UB003');
SELECT throws_ok(format('SELECT issue_credit_note(%s, 1, NULL)', :december), 'UB012', NULL, 'without a reason UB012');
SELECT lives_ok(format('SELECT issue_credit_note(%s, 85.47, ''All of it'')', :december), 'the rest');
SELECT is(pg_temp.state(:december), 'paid: 0 paid, 118.80 credited of 118.80', 'settles it');
SELECT is((SELECT sum(tax) FROM credit_notes WHERE invoice_id = :december), 19.80, 'all its tax is taken back, to the cent');
SELECT lives_ok(format('SELECT issue_credit_note(%s, 20, ''Goodwill'')', :november), 'of a paid invoice');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 8), 35.00, 'it becomes credit');
SELECT is((SELECT credit_note_number FROM credit_notes WHERE reason = 'Goodwill'), 'CN-2025-11-0001', 'numbered by the invoice''s period');
SELECT throws_ok('UPDATE credit_notes SET total_amount = 1, subtotal = 1, tax = 0', 'UB014', NULL, 'credit notes stay');

-- Refunds.
SELECT refund_payment((SELECT id FROM payments WHERE reference = 'S1'), 30, 'R1') AS refund
\gset
SELECT is((SELECT credit_balance FROM tenants WHERE id = 8), 5.00, 'a refund comes out of credit');
SELECT is(refund_payment((SELECT id FROM payments WHERE reference = 'S1'), 30, 'R1'), :refund::bigint, 'once');
SELECT throws_ok($$SELECT refund_payment((SELECT id FROM payments WHERE reference = 'S1'), 80, 'R2')$$, 'UB008', NULL, 'without enough credit it is UB008');
SELECT grant_credit(8, 100, 'grant', 'gift', now() + interval '1 day'), grant_included_credits(8)
\gset
SELECT throws_ok($$SELECT refund_payment((SELECT id FROM payments WHERE reference = 'S1'), 80, 'R2')$$, 'UB008', NULL, 'credit that was given is not paid out');
SELECT throws_ok($$SELECT refund_payment((SELECT id FROM payments WHERE reference = 'S1'), 81, 'R2')$$, 'UB003', NULL, 'above the payment UB003');
SELECT throws_ok($$SELECT refund_payment((SELECT id FROM payments WHERE reference = 'S1'), 5, 'R1')$$, 'UB004', NULL, 'under the same reference UB004');
SELECT throws_ok('SELECT refund_payment(999999, 1, ''R2'')', 'UB011', NULL, 'of an unknown payment UB011');
SELECT is(pg_temp.state(:november), 'paid: 118.80 paid, 0 credited of 118.80', 'the invoice stays paid');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
