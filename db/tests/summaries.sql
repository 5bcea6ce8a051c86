-- The daily summaries are the sums of the records: after every change, before and after housekeeping, in every zone.
BEGIN;
SELECT plan(32);
\ir fixtures/tenants.sql

-- The test that they are the same now.
CREATE FUNCTION pg_temp.same(p_name text)
RETURNS SETOF text
LANGUAGE sql
AS $$
    SELECT set_eq(
        'SELECT tenant_id, summary_date, channel, resource_type, total_quantity, total_cost, record_count FROM billing.usage_summaries',
        'SELECT tenant_id, usage_date, channel, resource_type, sum(quantity) AS quantity, sum(total_cost) AS cost,
            sum(CASE kind WHEN ''charge'' THEN 1 ELSE -1 END)::bigint AS records
         FROM billing.usage_records GROUP BY tenant_id, usage_date, channel, resource_type',
        p_name);
$$;

INSERT INTO calls (id, tenant_id, call_sid, to_number, initiated_at)
SELECT n, 7 + n % 3, 'CA' || n, '+15559876543', '2025-11-14 10:00:00+00'::timestamptz + n * interval '3 hours'
FROM generate_series(1, 60) AS n;
INSERT INTO messages (id, tenant_id, channel, status, sent_at, to_address)
SELECT n, 7 + n % 3, (ARRAY['sms', 'email', 'whatsapp', 'social'])[1 + n % 4], 'sent',
    '2025-11-14 10:00:00+00'::timestamptz + n * interval '3 hours', 'someone'
FROM generate_series(1, 60) AS n;
SELECT pg_temp.same('after messages were inserted');

UPDATE calls SET status = 'completed', duration_seconds = id * 7;
SELECT pg_temp.same('after calls were completed');
SELECT cmp_ok((SELECT count(*) FROM usage_summaries), '>', 50::bigint, 'there are days enough to compare');
SELECT is((SELECT sum(record_count) FROM usage_summaries), 120::numeric, 'each row counts once');
SELECT is(
    (SELECT trim_scale(sum(total_cost)) FROM usage_summaries WHERE channel = 'voice'), trim_scale(12810 * 0.015 / 60),
    'and costs what its seconds cost');

UPDATE calls SET duration_seconds = duration_seconds + 1 WHERE id % 2 = 0;
SELECT pg_temp.same('after corrections');
UPDATE calls SET status = 'failed' WHERE id % 5 = 0;
SELECT pg_temp.same('after reversals');
SELECT is((SELECT sum(record_count) FROM usage_summaries WHERE channel = 'voice'), 48::numeric, 'a reversed call does not count');
UPDATE calls SET tenant_id = 8, initiated_at = initiated_at + interval '40 days' WHERE id % 7 = 0;
SELECT pg_temp.same('after rows changed tenant and day');
SELECT lives_ok($$SELECT record_usage(7, 'voice', 'minute', 'by hand', 0.1, '{}', '2025-11-14')$$, 'with usage recorded by hand');
SELECT pg_temp.same('after usage was recorded by hand');

-- Housekeeping.
SELECT cmp_ok((SELECT count(*) FROM usage_deltas), '>', 5::bigint, 'there is something to merge');
CREATE TEMPORARY TABLE before AS SELECT * FROM usage_summaries;
SELECT is(merge_summaries(5), 5, 'a round of merging is bounded');
SELECT pg_temp.same('between two rounds of merging');
SELECT cmp_ok(merge_summaries(), '>', 0, 'the next round merges the rest');
SELECT is((SELECT count(*) FROM usage_deltas), 0::bigint, 'nothing is left to merge');
SELECT set_eq('TABLE usage_summaries', 'TABLE before', 'merging changes no figure');
SELECT is(merge_summaries(), 0, 'a further round has nothing to do');
UPDATE calls SET duration_seconds = 60, status = 'completed';
SELECT pg_temp.same('after changes to what was merged');
SELECT cmp_ok(merge_summaries(), '>', 0, 'which is merged in its turn');
SELECT pg_temp.same('after it was merged');

-- Days are the tenant's.
DELETE FROM calls;
INSERT INTO tenants (id, company_name, timezone) VALUES (20, 'New York', 'America/New_York'), (21, 'Kolkata', 'Asia/Kolkata'), (22, 'Greenwich', 'UTC'), (23, 'Tokyo', 'Asia/Tokyo');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
SELECT 1000 + id, id, 'completed', '2025-11-14 23:30:00+00', 60 FROM tenants WHERE id >= 20;
SELECT is(
    (SELECT summary_date FROM usage_summaries WHERE tenant_id = 23), '2025-11-15', 'a call at 23:30 UTC lies on the next day in Tokyo');
SELECT is((SELECT summary_date FROM usage_summaries WHERE tenant_id = 22), '2025-11-14', 'on its own in Greenwich');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
VALUES (1100, 20, 'completed', '2025-11-15 04:59:59+00', 60), (1101, 20, 'completed', '2025-11-15 05:00:00+00', 60),
    (1102, 21, 'completed', '2025-11-14 18:29:59+00', 60);
SELECT results_eq(
    'SELECT tenant_id, summary_date, record_count FROM usage_summaries WHERE tenant_id IN (20, 21) ORDER BY 1, 2',
    $$VALUES (20::bigint, '2025-11-14'::date, 2::bigint), (20, '2025-11-15', 1), (21, '2025-11-14', 1), (21, '2025-11-15', 1)$$,
    'midnight is where the tenant is');
SET LOCAL TimeZone = 'Pacific/Kiritimati';
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (1200, 22, 'completed', '2025-11-14 23:30:00+00', 60);
SELECT is(
    (SELECT record_count FROM usage_summaries WHERE tenant_id = 22 AND summary_date = '2025-11-14'), 2::bigint,
    'whatever zone the session is in');
RESET TimeZone;

-- A zone that changes.
UPDATE tenants SET timezone = 'Asia/Tokyo' WHERE id = 22;
UPDATE calls SET duration_seconds = 120 WHERE id = 1200;
SELECT is(
    (SELECT trim_scale(total_cost) FROM usage_summaries WHERE tenant_id = 22 AND summary_date = '2025-11-14'), 0.045,
    'usage stays on its day when the tenant moves, also when it is corrected');

-- Reports read the same figures.
SELECT results_eq(
    $$SELECT channel, resource_type, sum(total_quantity), sum(total_cost), sum(record_count)::bigint
      FROM get_usage_history(7, '2025-11-01', '2026-02-28', 'month') GROUP BY channel, resource_type ORDER BY 1, 2$$,
    $$SELECT channel, resource_type, sum(quantity), sum(total_cost), sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END)::bigint
      FROM usage_records WHERE tenant_id = 7 GROUP BY channel, resource_type ORDER BY 1, 2$$,
    'the history adds up to the records');
SELECT results_eq(
    $$SELECT DISTINCT bucket FROM get_usage_history(7, '2025-11-14', '2025-11-18', 'week') ORDER BY bucket$$,
    $$VALUES ('2025-11-10'::date), ('2025-11-17')$$, 'weeks begin on Monday');
SELECT throws_ok($$SELECT * FROM get_usage_history(7, '2025-11-02', '2025-11-01')$$, 'UB012', NULL, 'a history that ends before it begins is UB012');
SELECT throws_ok($$SELECT * FROM get_usage_history(7, '2025-11-01', '2025-11-02', 'fortnight')$$, 'UB012', NULL, 'so is an interval that is none');
SELECT throws_ok($$SELECT * FROM get_usage_history(999, '2025-11-01', '2025-11-02')$$, 'UB002', NULL, 'the history of an unknown tenant is UB002');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
