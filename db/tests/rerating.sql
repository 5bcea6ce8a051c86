-- Re-rating is a stored difference: proposed, read, applied once, and never at the cost of what was issued.
BEGIN;
SELECT plan(34);
\ir fixtures/tenants.sql

CREATE FUNCTION pg_temp.story()
RETURNS TABLE (resource_id text, kind text, revision integer, total_cost numeric, source_id bigint)
LANGUAGE sql
AS 'SELECT resource_id, kind::text, revision, trim_scale(total_cost), source_id FROM billing.usage_records ORDER BY resource_id, revision';

INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES (1, 7, 'A', 'completed', '2025-11-14 10:00:00+00', 60), (2, 7, 'B', 'completed', '2025-11-20 10:00:00+00', 60), (3, 8, 'C', 'completed', '2025-11-20 10:00:00+00', 90);
SELECT record_usage(7, 'voice', 'minute', 'D', 2, '{"agent": "x"}', '2025-11-20 10:00:00+00') AS by_hand
\gset
-- A row that is about to take over what was recorded by hand.
INSERT INTO calls (id, tenant_id, call_sid, status) VALUES (4, 7, 'D', 'ringing'), (5, 7, 'E', 'ringing');
INSERT INTO messages (id, tenant_id, channel, status) VALUES (2, 7, 'sms', 'queued');
SELECT propose_rerating('2025-11-01', '2025-11-30') AS nothing
\gset
SELECT is_empty(format('SELECT * FROM get_rerating(%s)', :nothing), 'while prices are as they were, nothing changes');

-- A price that should have been in force since 15 November.
UPDATE pricing_rates SET effective_until = '2025-11-15 00:00:00+00' WHERE card = 0 AND channel = 'voice';
INSERT INTO pricing_rates (channel, resource_type, unit_price, initial_increment, billing_increment, effective_from)
VALUES ('voice', 'minute', 0.02, 60, 60, '2025-11-15 00:00:00+00');
SELECT propose_rerating('2025-11-01', '2025-11-30') AS proposal
\gset
SELECT results_eq(
    format('SELECT tenant_id, resource_id, trim_scale(old_cost), trim_scale(new_cost), trim_scale(difference), problem, new_record_id FROM get_rerating(%s)', :proposal),
    $$VALUES (7::bigint, 'B', 0.015, 0.02, 0.005, NULL, NULL::bigint), (7, 'D', 0.03, 0.04, 0.01, NULL, NULL), (8, 'C', 0.0225, 0.04, 0.0175, NULL, NULL)$$,
    'a proposal holds what each charge cost, and would cost');
SELECT is((SELECT count(*) FROM usage_records), 4::bigint, 'and changes nothing');
SELECT propose_rerating('2025-11-01', '2025-11-30', 8) AS of_globex
\gset
SELECT results_eq(format('SELECT resource_id FROM get_rerating(%s)', :of_globex), $$VALUES ('C')$$, 'it may be of one tenant');
SELECT propose_rerating('2025-11-01', '2025-11-19') AS earlier
\gset
SELECT is_empty(format('SELECT * FROM get_rerating(%s)', :earlier), 'and is of the days asked for');

SELECT is(apply_rerating(:proposal), 3::bigint, 'applying it says how many charges it changed');
SELECT set_eq(
    'SELECT id FROM calls WHERE xmax <> 0', '{2,3,4}'::bigint[],
    'the rows of its charges are locked, and that of a resource recorded by hand, and no others');
SELECT is((SELECT xmax <> 0 FROM messages WHERE id = 2), false, 'nor one of another table with the same id');
SELECT results_eq(
    'SELECT * FROM pg_temp.story()',
    $$VALUES ('A', 'charge', 1, 0.015, 1::bigint), ('B', 'charge', 1, 0.015, 2), ('B', 'reversal', 2, -0.015, 2), ('B', 'charge', 3, 0.02, 2),
        ('C', 'charge', 1, 0.0225, 3), ('C', 'reversal', 2, -0.0225, 3), ('C', 'charge', 3, 0.04, 3),
        ('D', 'charge', 1, 0.03, NULL), ('D', 'reversal', 2, -0.03, NULL), ('D', 'charge', 3, 0.04, NULL)$$,
    'each is taken back and charged anew, in its own chain');
SELECT is((SELECT billed_quantity::numeric FROM usage_records WHERE resource_id = 'C' AND revision = 3), 2::numeric, 'by the new increments');
SELECT results_eq(
    $$SELECT DISTINCT usage_date, occurred_at::timestamptz, metadata FROM usage_records WHERE resource_id = 'D'$$,
    $$VALUES ('2025-11-20'::date, '2025-11-20 10:00:00+00'::timestamptz, '{"agent": "x"}'::jsonb)$$, 'on its day, at its time, with what was given');
SELECT isnt((SELECT applied_at FROM rerating_proposals WHERE id = :proposal), NULL, 'the proposal says when it was applied');
SELECT is(apply_rerating(:proposal), 3::bigint, 'again, it says the same');
SELECT is((SELECT count(*) FROM usage_records), 10::bigint, 'and writes nothing');
SELECT is(apply_rerating(:of_globex), 0::bigint, 'one that overlaps finds that its charges stand no more');
SELECT is(apply_rerating(:nothing), 0::bigint, 'an empty one is applied as well');
SELECT is_empty($$SELECT FROM rerating_differences WHERE proposal_id = propose_rerating('2025-11-01', '2025-11-30')$$, 'a new one has nothing to add');
SELECT is(
    record_usage(7, 'voice', 'minute', 'D', 2), (SELECT new_record_id FROM get_rerating(:proposal) WHERE resource_id = 'D'),
    'what was recorded by hand is found again: the charge that stands');
SELECT results_eq(
    'SELECT tenant_id, trim_scale(sum(total_cost)) FROM usage_summaries GROUP BY tenant_id ORDER BY tenant_id', 'VALUES (7::bigint, 0.075), (8, 0.04)',
    'the sums follow');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');

-- The row goes on from there.
UPDATE calls SET duration_seconds = 120 WHERE id = 2;
SELECT is((SELECT trim_scale(sum(total_cost)) FROM usage_records WHERE resource_id = 'B'), 0.04, 'a correction goes by the price that stands');
UPDATE calls SET status = 'failed' WHERE id = 2;
SELECT is((SELECT trim_scale(sum(total_cost)) FROM usage_records WHERE resource_id = 'B'), 0::numeric, 'a failure takes it all back');

-- A price withdrawn.
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds) VALUES (6, 8, 'F', 'completed', '2025-11-20 10:00:00+00', 60);
SELECT record_usage(8, 'voice', 'minute', 'G', 1, '{}', '2025-11-20 10:00:00+00'), record_usage(8, 'sms', 'message', 'H', 1, '{}', '2025-11-20 10:00:00+00')
\gset
UPDATE pricing_rates SET is_active = false WHERE card = 0 AND channel = 'voice' AND unit_price = 0.02;
SELECT propose_rerating('2025-11-01', '2025-11-30') AS withdrawn
\gset
SELECT results_eq(
    format('SELECT resource_id, problem, new_cost FROM get_rerating(%s)', :withdrawn), $$VALUES ('D', 'UB001', NULL::numeric), ('C', 'UB001', NULL), ('F', 'UB001', NULL), ('G', 'UB001', NULL)$$,
    'a charge without a price any more is listed');
SELECT is(apply_rerating(:withdrawn), 0::bigint, 'and left as it is');
SELECT is((SELECT xmax <> 0 FROM calls WHERE id = 6), false, 'its row is not locked');
SELECT set_eq(
    $$SELECT resource_id FROM direct_usage WHERE tenant_id = 8 AND xmax <> 0$$, '{G}'::text[], 'but what was recorded by hand is, which nobody else may move meanwhile');

-- Invoices.
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from) VALUES ('voice', 'minute', 0.05, '2025-11-15 00:00:00+00');
SELECT generate_invoice(7, '2025-11-01') AS issued, generate_invoice(8, '2025-11-01') AS draft
\gset
SELECT is(finalize_invoice(:issued), :issued::bigint, 'one is issued');
CREATE TEMPORARY TABLE issued_lines AS SELECT * FROM get_invoice_lines(:issued);
SELECT is(apply_rerating(propose_rerating('2025-11-01', '2025-11-30')), 4::bigint, 'when an invoiced period is re-rated');
SELECT results_eq(format('SELECT * FROM get_invoice_lines(%s)', :issued), 'SELECT * FROM issued_lines', 'the issued invoice stays');
SELECT results_eq(
    'SELECT tenant_id, trim_scale(amount), period_start, period_end, reference LIKE ''rerating % 2025-11-01'', invoice_id FROM adjustments',
    $$VALUES (7::bigint, 0.06, '2025-11-01'::date, '2025-11-30'::date, true, NULL::bigint)$$,
    'what changed is entered, exactly, for the next one; of a draft nothing is');
SELECT generate_invoice(7, '2025-12-01') AS december
\gset
SELECT results_eq(
    format($$SELECT amount FROM get_invoice_lines(%s) WHERE kind = 'adjustment'$$, :december), 'VALUES (0.06)', 'which bears it as a line');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');

SELECT throws_ok('SELECT apply_rerating(999999)', 'UB011', NULL, 'an unknown proposal is UB011');
SELECT throws_ok($$SELECT propose_rerating('2025-11-30', '2025-11-01')$$, 'UB012', NULL, 'days in the wrong order are UB012');

SELECT * FROM finish();
ROLLBACK;
