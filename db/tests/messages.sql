-- A message is billed when it is sent, by its channel.
BEGIN;
SELECT plan(16);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, recipients, media_urls, sent_at)
VALUES
    (1, 7, 'SM1', 'sms', '+15559876543', NULL, NULL, '2025-11-14 10:00:00+00'),
    (2, 7, 'SM2', 'sms', '+15559876543', NULL, '["https://example.org/a.png"]', '2025-11-14 10:00:00+00'),
    (3, 7, 'SM3', 'sms', '+15559876543', NULL, '[]', '2025-11-14 10:00:00+00'),
    (4, 7, 'EM4', 'email', 'a@example.org', NULL, NULL, '2025-11-14 10:00:00+00'),
    (5, 7, 'EM5', 'email', 'a@example.org', '{a@example.org,cc@example.org,bcc@example.org}', NULL, '2025-11-14 10:00:00+00'),
    (6, 7, 'EM6', 'email', 'a@example.org', '{cc@example.org,bcc@example.org}', '["https://example.org/a.pdf"]', '2025-11-14 10:00:00+00'),
    (7, 7, 'WA7', 'whatsapp', '+15559876543', NULL, NULL, '2025-11-14 10:00:00+00'),
    (8, 7, 'SO8', 'social', 'acme', NULL, NULL, '2025-11-14 10:00:00+00'),
    (9, 7, 'SM9', 'sms', '+15559876543', NULL, NULL, '2025-11-14 10:00:00+00'),
    (10, 7, 'SM10', 'sms', '+15559876543', NULL, NULL, '2025-11-14 10:00:00+00'),
    (11, 7, 'SM11', 'sms', '+15559876543', NULL, NULL, NULL);
SELECT is_empty('SELECT * FROM usage_records', 'a queued message costs nothing');

UPDATE messages SET status = 'sent' WHERE id <= 8;
SELECT results_eq(
    'SELECT source_id, channel, resource_type, trim_scale(quantity), trim_scale(total_cost) FROM usage_records ORDER BY source_id',
    $$VALUES
        (1::bigint, 'sms', 'message', 1::numeric, 0.0075),
        (2, 'sms', 'mms', 1, 0.02),
        (3, 'sms', 'message', 1, 0.0075),
        (4, 'email', 'message', 1, 0.001),
        (5, 'email', 'message', 3, 0.003),
        (6, 'email', 'message', 3, 0.003),
        (7, 'whatsapp', 'message', 1, 0.005),
        (8, 'social', 'message', 1, 0.005)$$,
    'an SMS, an MMS (with media), an email for each recipient in to, cc and bcc, WhatsApp and social: each at its price'
);

UPDATE messages SET status = 'delivered', delivered_at = '2025-11-14 10:00:05+00' WHERE id <= 8;
UPDATE messages SET status = 'read' WHERE id IN (1, 7, 8);
UPDATE messages SET status = 'opened' WHERE id BETWEEN 4 AND 6;
UPDATE messages SET status = 'clicked' WHERE id BETWEEN 4 AND 6;
SELECT is((SELECT count(*) FROM usage_records), 8::bigint, 'delivered, read, opened and clicked after sent change nothing');

UPDATE messages SET status = 'failed', failed_at = '2025-11-14 10:01:00+00', error_code = '30003' WHERE id IN (1, 5);
SELECT is(pg_temp.story('messages', 1), 'charge 0.0075, reversal -0.0075', 'a message that fails after it was sent is reversed');
SELECT is(pg_temp.story('messages', 5), 'charge 0.003, reversal -0.003', 'an email for all its recipients');
UPDATE messages SET status = 'sent' WHERE id = 1;
SELECT is(pg_temp.net('messages', 1), 0.0075, 'and billed again when it is sent after all');

UPDATE messages SET direction = 'inbound', status = 'delivered' WHERE id = 9;
SELECT is(pg_temp.story('messages', 9), NULL, 'an inbound message is free');

UPDATE messages SET status = 'undelivered' WHERE id = 10;
SELECT is(pg_temp.story('messages', 10), NULL, 'a message that was never sent is free');
UPDATE messages SET status = 'read' WHERE id = 10;
SELECT is(pg_temp.story('messages', 10), 'charge 0.0075', 'one whose first news is that it was read is billed');

UPDATE messages SET status = 'delivered', delivered_at = '2025-10-31 12:00:00+00' WHERE id = 11;
SELECT is(
    (SELECT usage_date FROM usage_records WHERE source_id = 11), '2025-10-31',
    'without a time of sending, the time of delivery counts'
);

INSERT INTO messages (id, tenant_id, channel, to_address, recipients, status, sent_at)
VALUES (12, 7, 'email', NULL, '{a@example.org,b@example.org}', 'sent', '2025-11-14 10:00:00+00');
SELECT is(pg_temp.story('messages', 12), 'charge 0.002', 'a message inserted as sent is billed');
UPDATE messages SET recipients = recipients || '{c@example.org}' WHERE id = 12;
SELECT is(pg_temp.story('messages', 12), 'charge 0.002, reversal -0.002, charge 0.003',
    'recipients that are corrected are reversed and billed anew');

UPDATE messages SET media_urls = '["https://example.org/a.png"]' WHERE id = 3;
SELECT is(
    (SELECT string_agg(kind || ' ' || resource_type, ', ' ORDER BY id) FROM usage_records WHERE source_id = 3),
    'charge message, reversal message, charge mms',
    'an SMS that turns out to have media is taken back and billed as an MMS'
);
UPDATE messages SET channel = 'whatsapp', media_urls = NULL WHERE id = 3;
SELECT is(pg_temp.net('messages', 3), 0.005, 'one that turns out to be WhatsApp is billed as that');

DELETE FROM messages WHERE id = 2;
SELECT is(pg_temp.net('messages', 2), 0.02, 'a message that is deleted stays billed');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
