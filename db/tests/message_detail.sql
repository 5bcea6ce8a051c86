-- By the operator's choice an SMS is billed by the segment and WhatsApp by its category of conversation.
BEGIN;
SELECT plan(34);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

-- What was written down for a row, with its resource.
CREATE FUNCTION pg_temp.detail(p_source_id bigint)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(format('%s %s %s %s', kind, trim_scale(quantity), resource_type, trim_scale(total_cost)), ', ' ORDER BY id)
    FROM billing.usage_records
    WHERE source_table = 'messages'
        AND source_id = p_source_id;
$$;

-- Billed before the choice, by the message.
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, body, status, sent_at)
SELECT n, 7, 'SM' || n, 'sms', '+15559876543', repeat('a', 161), 'sent', '2025-11-14 10:00:00+00'
FROM generate_series(1, 4) AS n;
SELECT is(pg_temp.detail(1), 'charge 1 message 0.0075', 'by default an SMS of two segments is one message');

SELECT lives_ok(
    $$SELECT meter_table('public.messages', 'billing.measure_message_in_detail', 'message_sid')$$,
    'the operator chooses the other measure'
);

-- A price has to be there.
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, body, status, sent_at)
VALUES (10, 7, 'SM10', 'sms', '+15559876543', repeat('a', 161), 'sent', '2025-11-14 10:00:00+00');
SELECT is(pg_temp.waits_for('messages', 10), 'UB001', 'without a price for segments an SMS is set aside');
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from) VALUES
    ('sms', 'segment', 0.01, '2025-01-01 00:00:00+00'),
    ('whatsapp', 'authentication', 0.002, '2025-01-01 00:00:00+00'),
    ('whatsapp', 'marketing', 0.025, '2025-01-01 00:00:00+00'),
    ('whatsapp', 'utility', 0.004, '2025-01-01 00:00:00+00'),
    ('whatsapp', 'service', 0, '2025-01-01 00:00:00+00');
SELECT results_eq('SELECT * FROM retry_unrated()', 'VALUES (1::bigint, 1::bigint)', 'and rated by retry_unrated once there is one');
SELECT is(pg_temp.detail(10), 'charge 2 segment 0.02', 'by the segment');

-- What is counted.
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, recipients, body, num_segments, media_urls, metadata, status, sent_at)
VALUES
    (11, 7, 'SM11', 'sms', '+15559876543', NULL, 'short', NULL, NULL, '{}', 'sent', '2025-11-14 10:00:00+00'),
    (12, 7, 'SM12', 'sms', '+15559876543', NULL, repeat(U&'\20AC', 153), NULL, '[]', '{}', 'sent', '2025-11-14 10:00:00+00'),
    (13, 7, 'SM13', 'sms', '+15559876543', NULL, repeat(U&'\+01F40B', 36), 0, NULL, '{}', 'sent', '2025-11-14 10:00:00+00'),
    (14, 7, 'SM14', 'sms', '+15559876543', NULL, 'short', 4, NULL, '{}', 'sent', '2025-11-14 10:00:00+00'),
    (15, 7, 'SM15', 'sms', '+15559876543', NULL, NULL, NULL, NULL, '{}', 'sent', '2025-11-14 10:00:00+00'),
    (16, 7, 'SM16', 'sms', '+15559876543', NULL, repeat('a', 500), 4, '["https://example.org/a.png"]', '{}', 'sent', '2025-11-14 10:00:00+00'),
    (17, 7, 'EM17', 'email', 'a@example.org', '{a@example.org,cc@example.org,bcc@example.org}', repeat('a', 500), NULL, NULL, '{}', 'sent', '2025-11-14 10:00:00+00'),
    (18, 7, 'EM18', 'email', 'a@example.org', '{cc@example.org,bcc@example.org}', NULL, NULL, NULL, '{}', 'sent', '2025-11-14 10:00:00+00'),
    (19, 7, 'SO19', 'social', 'acme', NULL, repeat('a', 500), NULL, NULL, '{"pricing": {"category": "marketing"}}', 'sent', '2025-11-14 10:00:00+00');
SELECT results_eq(
    $$SELECT source_id, channel, resource_type, trim_scale(quantity), trim_scale(total_cost)
      FROM usage_records WHERE source_id BETWEEN 11 AND 19 ORDER BY source_id$$,
    $$VALUES
        (11::bigint, 'sms', 'segment', 1::numeric, 0.01),
        (12, 'sms', 'segment', 3, 0.03),
        (13, 'sms', 'segment', 2, 0.02),
        (14, 'sms', 'segment', 4, 0.04),
        (15, 'sms', 'segment', 1, 0.01),
        (16, 'sms', 'mms', 1, 0.02),
        (17, 'email', 'message', 3, 0.003),
        (18, 'email', 'message', 3, 0.003),
        (19, 'social', 'message', 1, 0.005)$$,
    'segments by what the provider says, else by the text (none: 1); media make an MMS, an email counts recipients, social messages'
);

-- The provider speaks later.
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, body, status, sent_at)
VALUES (20, 7, 'SM20', 'sms', '+15559876543', repeat('a', 161), 'sent', '2025-11-14 10:00:00+00');
UPDATE messages SET status = 'delivered', num_segments = 2 WHERE id = 20;
SELECT is(pg_temp.detail(20), 'charge 2 segment 0.02', 'a provider that counts what we counted changes nothing');
UPDATE messages SET num_segments = 3 WHERE id = 20;
SELECT is(pg_temp.detail(20), 'charge 2 segment 0.02, reversal -2 segment -0.02, charge 3 segment 0.03',
    'one that corrects the count later: reversed and billed anew');
UPDATE messages SET body = NULL WHERE id = 20;
SELECT is(pg_temp.net('messages', 20), 0.03, 'once the provider has counted, the text may be deleted');
UPDATE messages SET media_urls = '["https://example.org/a.png"]' WHERE id = 20;
SELECT is(pg_temp.net('messages', 20), 0.02, 'an SMS that turns out to have media is billed as an MMS');

-- The rule of what is billable is the same.
INSERT INTO messages (id, tenant_id, message_sid, channel, direction, to_address, body, status, sent_at)
SELECT 100 + row_number() OVER (), 7, 'SM' || 100 + row_number() OVER (), channel, direction, '+15559876543', 'short', status, '2025-11-14 10:00:00+00'
FROM unnest('{sms,whatsapp,email,social}'::text[]) AS channel,
    unnest('{outbound,inbound}'::text[]) AS direction,
    unnest('{queued,accepted,sending,sent,delivered,read,opened,clicked,undelivered,failed,received}'::text[]) AS status;
SELECT set_eq(
    $$SELECT id, m.source_id, m.part, m.tenant_id, m.channel, m.resource_id, m.destination, m.occurred_at
      FROM messages AS r CROSS JOIN LATERAL measure_message_in_detail(
          r.id, r.tenant_id, r.channel, r.direction, r.status, r.message_sid, r.to_address, r.recipients, r.body, r.media_urls,
          r.num_segments, NULL, r.metadata, r.sent_at, r.delivered_at) AS m$$,
    $$SELECT id, m.source_id, m.part, m.tenant_id, m.channel, m.resource_id, m.destination, m.occurred_at
      FROM messages AS r CROSS JOIN LATERAL measure_message(
          r.id, r.tenant_id, r.channel, r.direction, r.status, r.message_sid, r.to_address, r.recipients, r.media_urls,
          r.sent_at, r.delivered_at) AS m$$,
    'both measures bill the very same messages'
);
SELECT is((SELECT count(*) FROM usage_records WHERE source_id > 100), 20::bigint, 'those that were sent');

-- Conversations.
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, metadata, status, sent_at)
VALUES
    (31, 7, 'WA31', 'whatsapp', '+15559876543', '{"pricing": {"billable": true, "pricing_model": "CBP", "category": "marketing"}}', 'sent', '2025-11-14 10:00:00+00'),
    (32, 7, 'WA32', 'whatsapp', '+15559876543', '{"conversation": {"id": "1", "origin": {"type": "utility"}}}', 'sent', '2025-11-14 10:00:00+00'),
    (33, 7, 'WA33', 'whatsapp', '+15559876543', '{"conversation_category": "AUTHENTICATION"}', 'sent', '2025-11-14 10:00:00+00'),
    (34, 7, 'WA34', 'whatsapp', '+15559876543', '{"pricing": {"category": "service"}, "conversation": {"origin": {"type": "marketing"}}}', 'sent', '2025-11-14 10:00:00+00'),
    (35, 7, 'WA35', 'whatsapp', '+15559876543', '{"pricing": null, "conversation": {"origin": {"type": "user_initiated"}}, "conversation_category": "utility"}', 'sent', '2025-11-14 10:00:00+00'),
    (36, 7, 'WA36', 'whatsapp', '+15559876543', '{"conversation": {"origin": {"type": "user_initiated"}}}', 'sent', '2025-11-14 10:00:00+00'),
    (37, 7, 'WA37', 'whatsapp', '+15559876543', '["no object"]', 'sent', '2025-11-14 10:00:00+00');
SELECT results_eq(
    $$SELECT source_id, resource_type, trim_scale(total_cost) FROM usage_records WHERE source_id BETWEEN 31 AND 37 ORDER BY source_id$$,
    $$VALUES
        (31::bigint, 'marketing', 0.025),
        (32, 'utility', 0.004),
        (33, 'authentication', 0.002),
        (34, 'service', 0),
        (35, 'utility', 0.004),
        (36, 'message', 0.005),
        (37, 'message', 0.005)$$,
    'WhatsApp by category: what was charged, else the origin of the conversation, else what the application wrote down'
);
UPDATE messages SET status = 'delivered', metadata = '{"pricing": {"category": "marketing"}}' WHERE id = 36;
SELECT is(pg_temp.detail(36), 'charge 1 message 0.005, reversal -1 message -0.005, charge 1 marketing 0.025',
    'a category that comes with a later webhook: reversed and billed anew');
SELECT is(conversation_category('{}', 'Marketing'), 'marketing', 'a column conversation_category does as well');
SELECT is(conversation_category('{"pricing": {"category": "marketing_and_more"}}'), NULL, 'a category that is none of the four is not known');

-- A price by the message, for one plan.
INSERT INTO pricing_rates (plan_id, channel, resource_type, unit_price, connection_fee, effective_from)
VALUES (3, 'sms', 'segment', 0, 0.0075, '2025-01-01 00:00:00+00');
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, body, status, sent_at) VALUES
    (41, 8, 'SM41', 'sms', '+15559876543', 'short', 'sent', '2025-11-14 10:00:00+00'),
    (42, 8, 'SM42', 'sms', '+15559876543', repeat('a', 1600), 'sent', '2025-11-14 10:00:00+00');
SELECT is(pg_temp.detail(41), 'charge 1 segment 0.0075', 'a price for each message: as connection fee of the segments');
SELECT is(pg_temp.detail(42), 'charge 11 segment 0.0075', 'of however many segments');

-- Recorded by hand and by its row.
SELECT isnt(record_usage(7, 'sms', 'segment', 'SM50', 2, '{}', '2025-11-14 10:00:00+00'), NULL, 'segments recorded by hand');
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, body, status, sent_at)
VALUES (50, 7, 'SM50', 'sms', '+15559876543', repeat('a', 161), 'sent', '2025-11-14 10:00:00+00');
SELECT is(
    (SELECT trim_scale(sum(total_cost)) FROM usage_records WHERE resource_id = 'SM50'), 0.02,
    'are not billed again when the row comes'
);

-- What was billed by the message before the choice.
UPDATE messages SET status = 'read', delivered_at = '2025-11-14 10:00:05+00', num_segments = 2 WHERE id = 1;
SELECT is(pg_temp.detail(1), 'charge 1 message 0.0075', 'an update that changes nothing of its worth leaves it as it was billed');
UPDATE messages SET num_segments = 3 WHERE id = 2;
SELECT is(pg_temp.detail(2), 'charge 1 message 0.0075, reversal -1 message -0.0075, charge 3 segment 0.03',
    'one that does: reversed, and billed by the segment');
UPDATE messages SET status = 'failed' WHERE id = 3;
SELECT is(pg_temp.detail(3), 'charge 1 message 0.0075, reversal -1 message -0.0075', 'one that fails is reversed');
UPDATE messages SET status = 'sent' WHERE id = 3;
SELECT is(pg_temp.net('messages', 3), 0.02, 'and billed by the segment when it is sent after all');
SELECT is_empty(
    $$SELECT * FROM verify() WHERE check_name <> 'deserved equals recorded' OR subject NOT IN ('messages 1', 'messages 4')$$,
    'every promise holds; only the worth of what was billed otherwise can differ'
);

SELECT results_eq(
    $$SELECT recorded, unrated FROM backfill_usage('2025-11-14', '2025-11-14') WHERE source_table = 'messages'$$,
    'VALUES (4::bigint, 0::bigint)',
    'backfill_usage brings the days it is given to the new measure: two reversals, two charges'
);
SELECT is(pg_temp.detail(1), 'charge 1 message 0.0075, reversal -1 message -0.0075, charge 2 segment 0.02', 'by the segment');
SELECT results_eq(
    $$SELECT recorded FROM backfill_usage('2025-11-14', '2025-11-14') WHERE source_table = 'messages'$$,
    'VALUES (0::bigint)',
    'twice is once'
);
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');

-- And back.
SELECT lives_ok(
    $$SELECT meter_table('public.messages', 'billing.measure_message', 'message_sid')$$,
    'the operator goes back to the default'
);
UPDATE messages SET num_segments = 5, body = 'other' WHERE id = 1;
SELECT is(pg_temp.net('messages', 1), 0.02, 'where segments count for nothing');
SELECT isnt(record_message_usage(2), 0, 'a row recorded by hand then');
SELECT is(pg_temp.net('messages', 2), 0.0075, 'is billed by the message again');
SELECT is_empty(
    $$SELECT source_id FROM usage_records WHERE source_id IS NOT NULL GROUP BY source_id
      HAVING count(*) FILTER (WHERE kind = 'charge') - count(*) FILTER (WHERE kind = 'reversal') > 1$$,
    'and never does a message stand charged twice'
);

SELECT * FROM finish();
ROLLBACK;
