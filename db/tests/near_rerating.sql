-- Re-rating changes the charges of its proposal that stand, and none that is like them in all but one thing.
BEGIN;
SELECT plan(14);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
SELECT n, CASE n WHEN 3 THEN 8 ELSE 7 END, 'CA' || n, 'completed', '2025-11-14 10:00:00+00', 60 FROM generate_series(1, 6) AS n;
INSERT INTO messages (id, tenant_id, message_sid, channel, status, sent_at)
SELECT n, 7, 'SM' || n, 'sms', 'sent', '2025-11-14 10:00:00+00' FROM generate_series(1, 6) AS n;
UPDATE messages SET status = 'failed';
UPDATE messages SET status = 'sent' WHERE id = 6;
UPDATE calls SET tenant_id = 7 WHERE id = 3;
UPDATE calls SET initiated_at = '2025-11-15 10:00:00+00' WHERE id = 4;
UPDATE calls SET duration_seconds = 120 WHERE id = 5;
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from) VALUES ('voice', 'page', 1, '2025-01-01');
CREATE TEMPORARY TABLE hand AS
SELECT tenant_id, channel, resource_type, resource_id, record_usage(tenant_id, channel, resource_type, resource_id, 1, '{}', '2025-11-14') AS id
FROM (VALUES
    (7, 'voice', 'minute', 'D'), (8, 'voice', 'minute', 'D'), (7, 'sms', 'message', 'D'), (7, 'voice', 'page', 'D'), (7, 'voice', 'minute', 'DD'), (7, 'voice', 'minute', 'E'), (8, 'voice', 'page', 'D')
) AS h (tenant_id, channel, resource_type, resource_id);
-- One was recorded by hand, and then by its row.
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds) VALUES (9, 7, 'DD', 'completed', '2025-11-14 10:00:00+00', 120);

INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from) VALUES (7, 'voice', 'minute', 0.02, '2025-01-01');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from, charge_model, terms)
VALUES (8, 'voice', 'page', 0, '2025-01-01', 'volume', '{"tiers": [{"unit_price": "0.01"}]}');
CREATE TEMPORARY TABLE before AS SELECT * FROM usage_records;
SELECT propose_rerating('2025-11-01', '2025-11-30') AS first, propose_rerating('2025-11-01', '2025-11-30') AS second
\gset
SELECT is((SELECT count(*) FROM get_rerating(:first)), 10::bigint, 'a proposal of the charges that stand');
-- A call fails between proposing and applying, another is completed anew.
UPDATE calls SET status = 'failed' WHERE id = 2;
SELECT is(apply_rerating(:first), 9::bigint, 'is applied to those that stand still');
SELECT is(
    (SELECT string_agg(n || ': ' || pg_temp.story('calls', n), '; ' ORDER BY n) FROM generate_series(1, 9) AS n),
    '1: charge 0.015, reversal -0.015, charge 0.02; 2: charge 0.015, reversal -0.015; '
    '3: charge 0.015, reversal -0.015, charge 0.015, reversal -0.015, charge 0.02; '
    '4: charge 0.015, reversal -0.015, charge 0.015, reversal -0.015, charge 0.02; '
    '5: charge 0.015, reversal -0.015, charge 0.03, reversal -0.03, charge 0.04; 6: charge 0.015, reversal -0.015, charge 0.02; '
    '9: charge 0.03, reversal -0.03, charge 0.04',
    'each call by its own chain, of its tenant and day');
SELECT is(
    (SELECT string_agg(n || ': ' || pg_temp.story('messages', n), '; ' ORDER BY n) FROM generate_series(1, 6, 5) AS n),
    '1: charge 0.0075, reversal -0.0075; 6: charge 0.0075, reversal -0.0075, charge 0.0075', 'no message that has a call''s id');
SELECT set_eq(
    $$SELECT h.tenant_id, h.channel, h.resource_type FROM hand AS h INNER JOIN direct_usage AS d USING (tenant_id, channel, resource_type, resource_id)
      WHERE d.record_id <> h.id$$,
    $$VALUES (7, 'voice', 'minute'), (8, 'voice', 'page')$$, 'of what was recorded by hand that which the new prices are of');
SELECT is_empty(
    $$SELECT * FROM direct_usage AS d WHERE d.reversed_at IS NULL AND NOT EXISTS (
        SELECT FROM usage_records AS r WHERE r.id = d.record_id AND r.kind = 'charge' AND r.tenant_id = d.tenant_id AND r.channel = d.channel
            AND r.resource_type = d.resource_type AND r.resource_id = d.resource_id AND r.created_at = d.created_at)$$,
    'which names its new charge');
SELECT results_eq(
    $$SELECT d.rate_id <> 0, sum(d.record_count)::integer, trim_scale(sum(d.total_quantity)), trim_scale(sum(d.total_cost))
      FROM usage_deltas AS d WHERE d.tenant_id = 8 AND d.resource_type = 'page' GROUP BY 1 ORDER BY 1$$,
    $$VALUES (false, 0, 0::numeric, 0::numeric), (true, 1, 1, 0)$$, 'what a period prices now is summed under its rate');
SELECT is((SELECT count(new_record_id) FROM get_rerating(:second)), 0::bigint, 'another proposal of the same is as it was');
SELECT is((SELECT count(new_record_id) FROM get_rerating(:first)), 9::bigint, 'the first has its new charges');
SELECT is_empty(
    format($$SELECT g.* FROM rerating_differences AS g INNER JOIN usage_records AS old ON old.id = g.record_id INNER JOIN usage_records AS r ON r.id = g.new_record_id
        WHERE g.proposal_id = %s AND (r.tenant_id, r.channel, r.resource_type, r.resource_id, r.revision, r.usage_date, r.part, r.quantity, trim_scale(r.total_cost))
            IS DISTINCT FROM (old.tenant_id, old.channel, old.resource_type, old.resource_id, old.revision + 2, old.usage_date, old.part, old.quantity,
                trim_scale(g.new_cost))$$, :first), 'each in the place of the one before');
SELECT is(apply_rerating(:second), 0::bigint, 'which another proposal does not find any more');
SELECT is_empty('SELECT * FROM before EXCEPT SELECT * FROM usage_records', 'nothing that was there is gone');
SELECT is_empty(
    $$SELECT tenant_id, usage_date, channel, resource_type FROM usage_records GROUP BY 1, 2, 3, 4
      HAVING (sum(quantity), sum(total_cost)) IS DISTINCT FROM (
        SELECT (sum(d.total_quantity), sum(d.total_cost)) FROM usage_deltas AS d
        WHERE d.tenant_id = usage_records.tenant_id AND d.summary_date = usage_records.usage_date AND d.channel = usage_records.channel
            AND d.resource_type = usage_records.resource_type)$$,
    'the sums are those of the records');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');

SELECT * FROM finish();
ROLLBACK;
