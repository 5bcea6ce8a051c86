-- Usage recorded by hand is billed once, by itself and together with its row.
BEGIN;
SELECT plan(57);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

-- By itself.
SELECT record_usage(7, 'voice', 'minute', 'CA1', 5.25, '{"call_id": 456, "to": "+15559876543", "region": "US"}', '2025-11-14 10:00:00+00') AS first_id
\gset
SELECT results_eq(
    'SELECT id, tenant_id, channel, resource_type, resource_id, trim_scale(quantity), trim_scale(unit_cost), trim_scale(total_cost), usage_date,
        metadata ->> ''region'', kind::text, source_table FROM usage_records',
    format($$VALUES (%s::bigint, 7::bigint, 'voice', 'minute', 'CA1', 5.25, 0.015, 0.07875, '2025-11-14'::date, 'US', 'charge', NULL)$$, :first_id),
    'record_usage writes one record and gives its id'
);
SELECT is(
    record_usage(7, 'voice', 'minute', 'CA1', 5.25, '{}', '2025-11-15 10:00:00+00'), :first_id::bigint,
    'the same resource again gives the same id'
);
SELECT is((SELECT count(*) FROM usage_records), 1::bigint, 'and writes nothing');
SELECT isnt(record_usage(8, 'voice', 'minute', 'CA1', 5.25, '{}', '2025-11-14'), :first_id::bigint, 'another tenant''s resource of that name is another');
SELECT isnt(record_usage(7, 'sms', 'message', 'CA1', 1, '{}', '2025-11-14'), :first_id::bigint, 'so is one of another channel');
SELECT lives_ok($$SELECT record_usage(7, 'sms', 'message', 'SM0', 0, '{}', '2025-11-14')$$, 'nothing at all may be recorded');
SELECT is((SELECT trim_scale(total_cost) FROM usage_records WHERE resource_id = 'SM0'), 0::numeric, 'and costs nothing');

INSERT INTO pricing_rates (channel, resource_type, prefix, unit_price, effective_from) VALUES ('voice', 'minute', '44', 0.1, '2020-01-01');
SELECT record_usage(7, 'voice', 'minute', 'CA2', 1, '{"to": "+442071838750"}', '2025-11-14') AS ca2
\gset
SELECT is((SELECT trim_scale(unit_cost) FROM usage_records WHERE id = :ca2), 0.1, '"to" in the metadata decides the price');

-- What it refuses.
SELECT throws_ok($$SELECT record_usage(7, 'fax', 'page', 'F1', 1)$$, 'UB001', NULL, 'usage without a price is UB001');
SELECT throws_ok($$SELECT record_usage(999, 'sms', 'message', 'S1', 1)$$, 'UB002', NULL, 'of an unknown tenant UB002');
SELECT throws_ok($$SELECT record_usage(NULL, 'sms', 'message', 'S1', 1)$$, 'UB002', NULL, 'of no tenant as well');
SELECT throws_ok(format($$SELECT record_usage(7, 'sms', 'message', 'S1', %s)$$, quantity), 'UB003', NULL, 'a quantity of ' || quantity || ' is UB003')
FROM unnest(ARRAY['NULL', '-1', '''NaN''', '''Infinity''', '''-Infinity''']) AS quantity;
SELECT throws_ok($$SELECT record_usage(7, 'sms', 'message', 'S1', 1, '{}', 'infinity')$$, 'UB003', NULL, 'so is a time that is not finite');
SELECT throws_ok($$SELECT record_usage(7, 'voice', 'minute', 'CA1', 5.5)$$, 'UB004', NULL, 'the same resource with other figures is UB004');
SELECT throws_ok($$SELECT record_usage(7, 'sms', 'message', NULL, 1)$$, 'UB011', NULL, 'a resource without a name is UB011');
SELECT throws_ok($$SELECT record_usage(7, 'sms', 'message', '', 1)$$, 'UB011', NULL, 'an empty name as well');
SELECT throws_ok($$SELECT record_call_usage(12345)$$, 'UB011', NULL, 'a call that is not there is UB011');
SELECT is((SELECT count(*) FROM usage_records), 5::bigint, 'what is refused writes nothing');
SELECT is_empty('SELECT * FROM unrated_usage', 'and sets nothing aside');

-- By hand, then by its row.
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at)
SELECT n, 7, 'CALL' || n, '+15559876543', 'in-progress', '2025-11-14 10:00:00+00'
FROM generate_series(1, 30) AS n;
CREATE FUNCTION pg_temp.net_resource(p_resource_id text)
RETURNS numeric
LANGUAGE sql
AS 'SELECT trim_scale(sum(total_cost)) FROM billing.usage_records WHERE resource_id = p_resource_id';

SELECT record_usage(7, 'voice', 'minute', 'CALL1', 5.25, '{}', '2025-11-14') AS by_hand
\gset
UPDATE calls SET status = 'completed', duration_seconds = 315 WHERE id = 1;
SELECT is(pg_temp.net_resource('CALL1'), 0.07875, 'a call recorded by hand and then completed is billed once');
SELECT is(pg_temp.story('calls', 1), NULL, 'the record made by hand stands');
SELECT is(record_usage(7, 'voice', 'minute', 'CALL1', 5.25), :by_hand::bigint, 'and is found again');
SELECT is(record_call_usage(1), 0, 'record_call_usage has nothing to add');
UPDATE calls SET duration_seconds = 600 WHERE id = 1;
SELECT is(pg_temp.net_resource('CALL1'), 0.15, 'a row with other figures takes over');
SELECT throws_ok($$SELECT record_usage(7, 'voice', 'minute', 'CALL1', 5.25)$$, 'UB004', NULL, 'from then on the old figures are UB004');
UPDATE calls SET status = 'failed' WHERE id = 1;
UPDATE calls SET status = 'completed' WHERE id = 1;
SELECT is(pg_temp.net_resource('CALL1'), 0.15, 'failed and completed again it is billed once');

SELECT lives_ok($$SELECT record_usage(7, 'voice', 'minute', 'CALL2', 1, '{}', '2025-11-14')$$, 'a call recorded by hand');
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = 2;
UPDATE calls SET status = 'failed' WHERE id = 2;
SELECT is(pg_temp.net_resource('CALL2'), 0::numeric, 'is reversed when its completed row fails');

SELECT lives_ok($$SELECT record_usage(7, 'voice', 'minute', 'CALL3', 1, '{}', '2025-11-14')$$, 'a call recorded by hand');
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id BETWEEN 3 AND 30;
SELECT is(
    (SELECT count(*) FILTER (WHERE pg_temp.net_resource('CALL' || n) = 0.015) FROM generate_series(3, 30) AS n), 28::bigint,
    'one of many that complete in one statement is billed once, and so are the others');

-- By its row, then by hand.
SELECT is(
    record_usage(7, 'voice', 'minute', 'CALL4', 1, '{"test": true}'), (SELECT id FROM usage_records WHERE source_table = 'calls' AND source_id = 4),
    'a call billed by its row gives that record''s id when recorded by hand');
SELECT is(pg_temp.net_resource('CALL4'), 0.015, 'and is billed once');
SELECT throws_ok($$SELECT record_usage(7, 'voice', 'minute', 'CALL4', 2)$$, 'UB004', NULL, 'with other figures it is UB004');

INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (40, 7, 'completed', '2025-11-14 10:00:00+00', 60);
SELECT is(
    record_usage(7, 'voice', 'minute', '40', 1), (SELECT id FROM usage_records WHERE source_table = 'calls' AND source_id = 40),
    'a call without a sid is known by its id');

-- A sid corrected afterwards.
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at)
VALUES (41, 7, 'CALL41', '+15559876543', 'in-progress', '2025-11-14 10:00:00+00');
SELECT lives_ok($$SELECT record_usage(7, 'voice', 'minute', 'CALL41', 1, '{}', '2025-11-14')$$, 'a call recorded by hand');
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = 41;
UPDATE calls SET call_sid = 'CALL41b' WHERE id = 41;
UPDATE calls SET duration_seconds = 120 WHERE id = 41;
SELECT is(
    (SELECT trim_scale(sum(total_cost)) FROM usage_records WHERE resource_id LIKE 'CALL41%'), 0.03,
    'is billed once, whatever its row comes to be called');

-- Rows by hand.
ALTER TABLE calls DISABLE TRIGGER billing_meter_insert;
ALTER TABLE messages DISABLE TRIGGER billing_meter_insert;
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES (51, 7, 'CALL51', 'completed', '2025-11-14 10:00:00+00', 60), (52, 999, 'CALL52', 'completed', '2025-11-14 10:00:00+00', 60),
    (53, 7, 'CALL53', 'completed', '2025-11-14 10:00:00+00', -1), (54, 7, 'CALL54', 'failed', '2025-11-14 10:00:00+00', 60);
INSERT INTO messages (id, tenant_id, channel, status, sent_at, recipients, media_urls)
VALUES (51, 7, 'sms', 'sent', '2025-11-14', NULL, NULL), (52, 7, 'email', 'sent', '2025-11-14', '{a@example.org,b@example.org}', NULL),
    (53, 7, 'whatsapp', 'sent', '2025-11-14', NULL, NULL), (54, 7, 'fax', 'sent', '2025-11-14', NULL, NULL);
ALTER TABLE calls ENABLE TRIGGER billing_meter_insert;
ALTER TABLE messages ENABLE TRIGGER billing_meter_insert;
SELECT is(record_call_usage(51), 1, 'record_call_usage writes what the triggers did not');
INSERT INTO unrated_usage (source_table, source_id, sqlstate, reason) VALUES ('messages', 51, 'UB001', 'a message that waits');
SELECT is(record_call_usage(51), 0, 'once, whatever a message of that id waits for');
DELETE FROM unrated_usage;
SELECT is(record_call_usage(54), 0, 'and nothing for a call that deserves nothing');
SELECT is(record_call_usage(51, 7, 'CALL51', 6000), 0, 'the row decides, not what else is passed');
SELECT throws_ok('SELECT record_call_usage(52)', 'UB002', NULL, 'it raises what a trigger would set aside: UB002');
SELECT throws_ok('SELECT record_call_usage(53)', 'UB003', NULL, 'UB003');
SELECT throws_ok('SELECT record_message_usage(54)', 'UB001', NULL, 'and UB001');
SELECT is(record_message_usage(51) || ' ' || record_message_usage(51), '1 0', 'record_message_usage bills a message once');
SELECT is(record_email_usage(52) || ' ' || record_email_usage(52), '1 0', 'record_email_usage an email');
SELECT is(pg_temp.net('messages', 52), 0.002, 'for each recipient');
SELECT is(record_whatsapp_usage(53) || ' ' || record_whatsapp_usage(53), '1 0', 'record_whatsapp_usage a WhatsApp message');

-- Resources that differ in one thing only.
CREATE TEMPORARY TABLE alike AS
SELECT a.*, record_usage(tenant_id, channel, resource_type, 'ALIKE', quantity, metadata, '2025-11-14') AS id
FROM (VALUES
    (7, 'sms', 'message', 1, '{"to_number": "+44 20 7183 8750"}'::jsonb), (8, 'sms', 'message', 2, NULL), (7, 'email', 'message', 3, '{}'),
    (7, 'sms', 'mms', 4, '{"to": "+1 555", "to_number": "+44"}'), (7, 'voice', 'minute', 5, '{"to_number": "+442071838750"}')
) AS a (tenant_id, channel, resource_type, quantity, metadata);
SELECT results_eq(
    $$SELECT r.tenant_id::integer, r.channel, r.resource_type, trim_scale(r.quantity)::integer, r.metadata, r.destination, r.part::integer, trim_scale(r.unit_cost),
        r.xact = pg_current_xact_id()
      FROM alike AS a INNER JOIN usage_records AS r USING (id) ORDER BY r.quantity$$,
    $$VALUES (7, 'sms', 'message', 1, '{"to_number": "+44 20 7183 8750"}'::jsonb, '442071838750', 1, 0.0075, true), (8, 'sms', 'message', 2, '{}', NULL, 1, 0.0075, true),
        (7, 'email', 'message', 3, '{}', NULL, 1, 0.001, true), (7, 'sms', 'mms', 4, '{"to": "+1 555", "to_number": "+44"}', '1555', 1, 0.02, true),
        (7, 'voice', 'minute', 5, '{"to_number": "+442071838750"}', '442071838750', 1, 0.1, true)$$,
    'are recorded each, with their destination, whichever key has it');
SELECT is_empty(
    $$SELECT * FROM alike WHERE record_usage(tenant_id, channel, resource_type, 'ALIKE', quantity) <> id$$, 'each is found again');
SELECT is(count(*), 5::bigint, 'and written once') FROM usage_records WHERE resource_id = 'ALIKE';
SELECT throws_ok($$SELECT record_usage(7, 'sms', 'message', 'ALIKE', 2)$$, 'UB004', NULL, 'one with the figures of another is UB004');
SELECT lives_ok(
    $$SELECT record_usage(7, 'voice', 'minute', 'third', 1 / 3::numeric, '{}', '2025-11-14'), record_usage(7, 'voice', 'minute', 'third', 0.333333333333)$$,
    'a third of a minute is 20 seconds, however many digits it has');

SELECT is_empty(
    $$SELECT * FROM verify() WHERE subject NOT IN ('calls 52', 'calls 53', 'messages 54')$$,
    'every promise holds, but for the rows that have no price');
SELECT * FROM finish();
ROLLBACK;
