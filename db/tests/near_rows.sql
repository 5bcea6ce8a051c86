-- What is recorded for a row is not what is recorded for another that is like it in all but one thing.
BEGIN;
SELECT plan(62);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

-- What a row deserves: one SMS for Acme, unless said otherwise.
CREATE FUNCTION pg_temp.sms(
    p_id bigint, p_at text DEFAULT '2025-11-14 10:00:00+00', p_quantity numeric DEFAULT 1, p_part integer DEFAULT 1,
    p_tenant_id bigint DEFAULT 7, p_channel text DEFAULT 'sms', p_type text DEFAULT 'message', p_resource text DEFAULT 'R',
    p_to text DEFAULT '1555'
)
RETURNS measurement
LANGUAGE sql
AS $$
    SELECT (p_id, p_part::smallint, p_tenant_id, p_channel, p_type, p_resource, p_quantity, p_to, p_at::timestamptz)::billing.measurement
$$;
CREATE FUNCTION pg_temp.standing(p_source_id bigint, p_source_table text DEFAULT 'near')
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(format('%s %s %s %s %s: %s #%s', o.tenant_id, o.channel, o.resource_type, to_char(o.usage_date, 'DD'), o.part,
        trim_scale(o.quantity), o.revision), ', ' ORDER BY o.tenant_id, o.channel, o.resource_type, o.usage_date, o.part)
    FROM unnest(billing.find_open_charges(p_source_table, p_source_id, NULL)) AS o
$$;

-- A row that deserves several charges, each like the first but for one thing.
CREATE TEMPORARY TABLE several AS
SELECT n, m
FROM unnest(ARRAY[
    pg_temp.sms(1), pg_temp.sms(1, p_tenant_id => 8), pg_temp.sms(1, '2025-11-15 10:00:00+00', p_channel => 'email'),
    pg_temp.sms(1, '2025-11-16 10:00:00+00', p_type => 'mms'), pg_temp.sms(1, '2025-11-17 10:00:00+00'), pg_temp.sms(1, p_part => 2)
]) WITH ORDINALITY AS s (source_id, part, tenant_id, channel, resource_type, resource_id, quantity, destination, occurred_at, n)
CROSS JOIN LATERAL (
    SELECT (source_id, part, tenant_id, channel, resource_type, resource_id, quantity, destination, occurred_at)::measurement AS m
) AS again;
SELECT is(record_difference('near', 1, array_agg(m ORDER BY n)), 6, 'charges of one row that differ in one thing are all written')
FROM several;
SELECT is(record_difference('near', 1, array_agg(m ORDER BY n)), 0, 'once') FROM several;
SELECT is(record_difference('near', 1, array_agg(m ORDER BY n DESC)), 0, 'in whatever order') FROM several;
SELECT is(record_difference('far', 1, array_agg(m ORDER BY n)), 6, 'those of a row with this id in another table are others') FROM several;
SELECT is(
    record_difference('near', 1, array_agg(CASE n WHEN 2 THEN pg_temp.sms(1, p_quantity => 2, p_tenant_id => 8) ELSE m END ORDER BY n)), 2,
    'a correction of one reverses it and charges anew')
FROM several;
SELECT is(
    pg_temp.standing(1),
    '7 email message 15 1: 1 #1, 7 sms message 14 1: 1 #1, 7 sms message 14 2: 1 #1, 7 sms message 17 1: 1 #1, 7 sms mms 16 1: 1 #1, '
    '8 sms message 14 1: 2 #3',
    'and leaves the others alone');
SELECT is(
    record_difference('near', 1, array_agg(CASE WHEN n IN (1, 5) THEN pg_temp.sms(1, (m).occurred_at::text, 3) ELSE m END ORDER BY n)
        FILTER (WHERE n NOT IN (3, 4))), 8,
    'some corrected, some taken back')
FROM several;
SELECT is(
    pg_temp.standing(1),
    '7 sms message 14 1: 3 #3, 7 sms message 14 2: 1 #1, 7 sms message 17 1: 3 #3, 8 sms message 14 1: 1 #5',
    'each has revisions of its own');
SELECT is(record_difference('near', 1, array_agg(m ORDER BY n)), 6, 'what was taken back comes again') FROM several;
SELECT is(
    pg_temp.standing(1),
    '7 email message 15 1: 1 #3, 7 sms message 14 1: 1 #5, 7 sms message 14 2: 1 #1, 7 sms message 17 1: 1 #5, 7 sms mms 16 1: 1 #3, '
    '8 sms message 14 1: 1 #5',
    'with the next odd revision');
SELECT is(
    pg_temp.standing(1, 'far'),
    '7 email message 15 1: 1 #1, 7 sms message 14 1: 1 #1, 7 sms message 14 2: 1 #1, 7 sms message 17 1: 1 #1, 7 sms mms 16 1: 1 #1, '
    '8 sms message 14 1: 1 #1',
    'and nothing of that is seen in the other table');

SELECT is(
    record_difference('near', 1, array_agg(CASE n WHEN 6 THEN pg_temp.sms(1, p_quantity => 2, p_part => 2) ELSE m END ORDER BY n)), 2, 'the other part is corrected')
FROM several;
SELECT ok(pg_temp.standing(1) LIKE '%7 sms message 14 2: 2 #3%', 'and counts its own revisions');
SELECT is(write_records(NULL), 0, 'no records are none');

-- A row that turns out to be of another.
SELECT is(record_difference('near', n, ARRAY[pg_temp.sms(n)]) + record_difference('near', n, ARRAY[now]), 3, 'a row of another ' || what)
FROM (VALUES
    (3, pg_temp.sms(3, p_channel => 'whatsapp'), 'channel'), (4, pg_temp.sms(4, p_type => 'mms'), 'resource'), (5, pg_temp.sms(5, p_tenant_id => 8), 'tenant')
) AS other (n, now, what);
SELECT is(pg_temp.standing(n), standing, 'is charged as that')
FROM (VALUES (3, '7 whatsapp message 14 1: 1 #3'), (4, '7 sms mms 14 1: 1 #3'), (5, '8 sms message 14 1: 1 #1')) AS other (n, standing);

-- A charge, as it was written down.
SELECT is(record_difference('near', 2, ARRAY[pg_temp.sms(2, p_channel => 'voice', p_type => 'minute', p_quantity => 90)]), 1, 'a call');
SELECT results_eq(
    $$SELECT tenant_id, part::integer, kind::text, channel, resource_type, resource_id, trim_scale(quantity), trim_scale(seconds),
        trim_scale(billed_quantity), trim_scale(unit_cost), trim_scale(total_cost), currency::text, destination, metadata, usage_date::date,
        occurred_at::timestamptz, xact = pg_current_xact_id()
      FROM usage_records WHERE source_table = 'near' AND source_id = 2$$,
    $$VALUES (7::bigint, 1, 'charge', 'voice', 'minute', 'R', 1.5, 90::numeric, 1.5, 0.015, 0.0225, 'USD', '1555', '{}'::jsonb,
        '2025-11-14'::date, '2025-11-14 10:00:00+00'::timestamptz, true)$$,
    'with all that was measured and found');
SELECT is(record_difference('near', 2, '{}'), 1, 'that was none');
SELECT results_eq(
    $$SELECT kind::text, trim_scale(quantity), trim_scale(seconds), trim_scale(billed_quantity), trim_scale(unit_cost), trim_scale(total_cost),
        revision::integer, xact = pg_current_xact_id(), created_at >= (SELECT created_at FROM usage_records WHERE source_table = 'near' AND source_id = 2 AND revision = 1)
      FROM usage_records WHERE source_table = 'near' AND source_id = 2 ORDER BY id DESC LIMIT 1$$,
    $$VALUES ('reversal', -1.5, -90::numeric, -1.5, 0.015, -0.0225, 2, true, true)$$,
    'its reversal has all with a minus, but the price');

-- A charge whose time was corrected by half an hour stands. Then comes a price for the time between, with hindsight.
SELECT is(
    (SELECT sum(record_difference('near', n, ARRAY[pg_temp.sms(n)]) + record_difference('near', n, ARRAY[pg_temp.sms(n, '2025-11-14 10:30:00+00')]))
     FROM generate_series(10, 30) AS n), 21::bigint,
    'another time of the day at the same price is the same charge');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from, effective_until)
VALUES (7, 'sms', 'message', 0.01, '2025-11-14 10:15:00+00', '2025-11-14 20:00:00+00');
INSERT INTO unrated_usage (source_table, source_id, part, tenant_id, sqlstate, context, resolved_at, first_seen_at)
VALUES ('far', 10, 1, 7, 'UB001', '{}', NULL, '2025-11-05'), ('near', 99, 1, 7, 'UB001', '{}', NULL, '2025-11-05'),
    ('near', 10, 1, 7, 'UB001', '{}', '2025-11-10', '2025-11-05'), ('near', 11, 1, 7, 'UB001', '{}', NULL, '2025-11-12'),
    ('near', 31, 1, 7, 'UB001', '{}', NULL, '2025-11-12'), ('near', 31, 2, 7, 'UB001', '{}', NULL, '2025-11-13'),
    ('far', 31, 1, 7, 'UB001', '{}', NULL, '2025-11-05'), ('near', 31, 3, 7, 'UB001', '{}', '2025-11-10', '2025-11-05');
CREATE FUNCTION pg_temp.corrected(p_id bigint, p_before measurement)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM billing.record_difference('near', p_id, ARRAY[pg_temp.sms(p_id, '2025-11-14 10:30:00+00', 2)], ARRAY[p_before]);
    RETURN pg_temp.net('near', p_id)::text;
END;
$$;
SELECT is(pg_temp.corrected(n, before), cost, name)
FROM (VALUES
    (10, pg_temp.sms(10, '2025-11-14 10:30:00+00'), '0.015', 'a statement that changes neither time nor destination keeps the recorded price'),
    (11, pg_temp.sms(11, '2025-11-14 10:30:00+00'), '0.02', 'one that mends what was set aside does not: what stands is of a time before'),
    (12, pg_temp.sms(12, '2025-11-14 10:29:00+00'), '0.02', 'nor one that changes the time'),
    (13, pg_temp.sms(13, '2025-11-14 10:30:00+00', p_to => '1556'), '0.02', 'nor the destination'),
    (14, pg_temp.sms(14, '2025-11-14 10:30:00+00', p_part => 2), '0.02', 'nor one that changed another part only'),
    (15, pg_temp.sms(15, '2025-11-14 10:30:00+00', p_tenant_id => 8), '0.02', 'nor the tenant')
) AS cases (n, before, cost, name);
SELECT is(
    (SELECT resolved_at FROM unrated_usage WHERE source_table = 'near' AND source_id = 10), '2025-11-10'::timestamptz,
    'what was settled before stays as it is');
SELECT is(
    (SELECT count(*) FROM unrated_usage WHERE resolved_at IS NULL AND (source_table = 'far' OR source_id = 99)), 3::bigint,
    'and what waits for another row waits on');

-- Two parts with resources of their own, of which one got another name while nobody looked.
SELECT is(
    record_difference('near', 60, ARRAY[pg_temp.sms(60, p_resource => 'old'), pg_temp.sms(60, p_part => 2, p_resource => 'leg')]), 2, 'a row of two');
SELECT is(
    record_difference(
        'near', 60, ARRAY[pg_temp.sms(60, '2025-11-14 10:01:00+00', p_resource => 'new'), pg_temp.sms(60, '2025-11-14 10:01:00+00', p_part => 2, p_resource => 'leg')],
        ARRAY[pg_temp.sms(60, p_resource => 'new'), pg_temp.sms(60, p_part => 2, p_resource => 'leg')]), 0, 'is as it was a minute later');
SELECT is(
    record_difference(
        'near', 60, ARRAY[pg_temp.sms(60, '2025-11-14 10:01:00+00', p_resource => 'newer'), pg_temp.sms(60, '2025-11-14 10:01:00+00', p_part => 2, p_resource => 'leg')],
        ARRAY[pg_temp.sms(60, '2025-11-14 10:01:00+00', p_resource => 'new'), pg_temp.sms(60, '2025-11-14 10:01:00+00', p_part => 2, p_resource => 'leg')]), 2,
    'unless it is the statement that names it anew');

-- What has no time of its own.
SELECT is(record_difference('near', 31, ARRAY[pg_temp.sms(31, NULL)]), 1, 'a row without a time that had been set aside');
SELECT is((SELECT usage_date FROM usage_records WHERE source_table = 'near' AND source_id = 31), '2025-11-12', 'is of the day it was first seen');

INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from, effective_until)
VALUES (7, 'sms', 'message', 0.02, '2025-11-11', '2025-11-13');
SELECT is(record_difference('near', 31, ARRAY[pg_temp.sms(31, NULL, 2)]), 2, 'and is corrected');
SELECT is(pg_temp.story('near', 31), 'charge 0.0075, reversal -0.0075, charge 0.015', 'at the price recorded then');
SELECT is(
    record_difference('near', 41, ARRAY[pg_temp.sms(41, NULL)]) + record_difference('near', 42, ARRAY[pg_temp.sms(42, NULL), pg_temp.sms(42, NULL, p_part => 2)]), 3,
    'rows without a time that are recorded at once');
SELECT is((SELECT count(DISTINCT occurred_at) FROM usage_records WHERE source_id IN (41, 42)), 1::bigint, 'are of one time');

-- Same price, same day, and yet another charge.
SELECT is(record_difference('near', 16, ARRAY[pg_temp.sms(16, p_to => '1556')]), 2, 'another destination at the same price is written down');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, effective_from)
VALUES (7, 'sms', 'message', 0.0075, '2025-11-14 20:00:00+00');
SELECT is(record_difference('near', 17, ARRAY[pg_temp.sms(17, '2025-11-14 21:00:00+00')]), 2, 'so is another rate that costs as much');
SELECT is(
    record_difference('near', 19, ARRAY[pg_temp.sms(19, '2025-11-13 10:30:00+00', 2)], ARRAY[pg_temp.sms(19, '2025-11-13 10:30:00+00')]), 2,
    'a row that moved to another day while nobody looked');
SELECT is(pg_temp.standing(19), '7 sms message 13 1: 2 #1', 'is corrected on its new day');
SELECT is(record_difference('near', 18, ARRAY[pg_temp.sms(18, '2025-11-13 10:00:00+00')]), 2, 'and another day at the same rate');

-- One part is wrong.
SELECT is(record_difference('near', 32, ARRAY[pg_temp.sms(32), pg_temp.sms(32, p_part => 2), pg_temp.sms(32, p_part => 3)]), 3, 'a row of three');
SELECT is(
    record_difference('near', 32, ARRAY[pg_temp.sms(32, p_quantity => 'NaN'), pg_temp.sms(32, p_quantity => 2, p_part => 3)]), 3,
    'of which one makes no sense, one is no more, and one is corrected');
SELECT is(
    pg_temp.standing(32), '7 sms message 14 1: 1 #1, 7 sms message 14 3: 2 #3',
    'keeps the first as it was, loses the second, and has the third');
SELECT results_eq(
    $$SELECT part::integer FROM unrated_usage WHERE source_table = 'near' AND source_id = 32 AND resolved_at IS NULL$$, 'VALUES (1)',
    'and waits for the first');

-- Recorded by hand, and by its row under another name.
SELECT is(record_difference('near', 33, ARRAY[pg_temp.sms(33, '2025-11-10 10:00:00+00', p_resource => 'X')]), 1, 'a row');
SELECT lives_ok(
    $$SELECT record_usage(7, 'sms', 'message', 'H', 1, '{}', '2025-11-10'), record_usage(8, 'sms', 'message', 'H', 1, '{}', '2025-11-10'),
        record_usage(7, 'email', 'message', 'H', 1, '{}', '2025-11-10'), record_usage(7, 'sms', 'mms', 'H', 1, '{}', '2025-11-10'),
        record_usage(7, 'sms', 'message', 'HH', 1, '{"to": "1555"}', '2025-11-10'),
        record_usage(7, 'sms', 'message', 'J', 1, '{}', '2025-11-10')$$,
    'and resources recorded by hand, of which one is the row''s');
SELECT is(record_difference('near', 33, ARRAY[pg_temp.sms(33, '2025-11-10 10:00:00+00', p_resource => 'H')]), 1, 'as the row comes to say');
SELECT is(pg_temp.story('near', 33), 'charge 0.0075', 'the row''s own charge stands');
SELECT results_eq(
    'SELECT tenant_id, channel, resource_type, resource_id FROM direct_usage WHERE reversed_at IS NOT NULL', $$VALUES (7::bigint, 'sms', 'message', 'H')$$,
    'and that by hand does not, and no other');
SELECT is(
    record_difference('near', 34, ARRAY[pg_temp.sms(34, '2025-11-10 10:00:00+00', p_resource => 'I')], ARRAY[pg_temp.sms(34, p_resource => 'HH')]), 2,
    'what was recorded by hand under the name that the row had is replaced');

SELECT is(record_difference('near', 35, ARRAY[pg_temp.sms(35, p_quantity => 'NaN', p_resource => 'J', p_part => 2)]), 0, 'where the row makes no sense');
SELECT is((SELECT reversed_at FROM direct_usage WHERE resource_id = 'J'), NULL, 'it stands');
INSERT INTO usage_records (
    tenant_id, rate_id, occurred_at, usage_date, created_at, part, channel, resource_type, resource_id, quantity, unit_cost, total_cost, currency, billed_quantity
)
SELECT 7, rate_id, occurred_at, r.usage_date, r.created_at, 1, 'sms', 'message', 'another', 1, unit_cost, total_cost, currency, 1
FROM direct_usage AS d
INNER JOIN usage_records AS r ON r.id = d.record_id
WHERE d.tenant_id = 7 AND d.resource_type = 'mms';
SELECT is(
    (SELECT string_agg(o.resource_id, ' ') FROM unnest(find_open_charges('near', 77, ARRAY[pg_temp.sms(77, p_type => 'mms', p_resource => 'H')])) AS o), 'H',
    'one that was recorded by hand at the same instant is another');

-- Under READ COMMITTED a charge by its row enters nothing where resources recorded by hand are kept.
SELECT lives_ok($$SELECT claim_resource('near', 2, 1::smallint, 7, 'voice', 'minute', 'R', '2025-11-14')$$, 'a resource need not be claimed');
SELECT is_empty($$SELECT * FROM direct_usage WHERE resource_id = 'R'$$, 'and is not');

SELECT * FROM finish();
ROLLBACK;
