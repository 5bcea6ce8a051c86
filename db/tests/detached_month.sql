-- A month of records can be taken away and brought back; usage that comes meanwhile is set aside, not lost, not doubled.
BEGIN;
SELECT plan(54);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

SELECT is(ensure_partition('2025-10-01'), true, 'October has a partition');
SELECT is(ensure_partition('2025-10-31'), false, 'and only one');
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at, duration_seconds)
SELECT n, 7, 'CA' || n, '+15559876543', 'completed', '2025-10-14 10:00:00+00', 60
FROM generate_series(1, 6) AS n;
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at)
SELECT n, 7, 'CA' || n, '+15559876543', 'in-progress', '2025-10-14 10:00:00+00'
FROM generate_series(11, 30) AS n;
SELECT record_usage(7, 'voice', 'minute', 'by hand', 1, '{}', '2025-10-14 10:00:00+00') AS by_hand
\gset
CREATE TEMPORARY TABLE october AS SELECT * FROM usage_summaries;

SELECT is(detach_month('2025-10-14'), 'billing.usage_records_2025_10', 'detaching a month gives its table');
SELECT is((SELECT count(*) FROM usage_records), 0::bigint, 'its records are not in usage_records');
SELECT is((SELECT count(*) FROM usage_records_2025_10), 7::bigint, 'they are in that table');
SELECT set_eq('TABLE usage_summaries', 'TABLE october', 'the daily sums stay');
SELECT is_empty('SELECT * FROM verify()', 'and every promise holds');
SELECT throws_ok($$SELECT detach_month('2025-10-14')$$, 'UB012', NULL, 'a month that is detached cannot be detached again');
SELECT is(ensure_partition('2025-10-01'), false, 'nor does it get another partition');

-- Usage of that month.
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = 11;
SELECT is((SELECT status FROM calls WHERE id = 11), 'completed', 'a call of a detached month can still be completed');
SELECT is(pg_temp.waits_for('calls', 11), 'UB006', 'and is set aside as UB006');
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id BETWEEN 12 AND 30;
SELECT is(
    (SELECT count(*) FILTER (WHERE pg_temp.waits_for('calls', n) = 'UB006') FROM generate_series(12, 30) AS n), 19::bigint,
    'so are many in one statement');
UPDATE calls SET duration_seconds = 120 WHERE id = 1;
SELECT is(pg_temp.waits_for('calls', 1), 'UB006', 'a correction of a billed call of that month as well');
UPDATE calls SET status = 'failed' WHERE id = 2;
SELECT is(pg_temp.waits_for('calls', 2), 'UB006', 'a reversal as well');
UPDATE calls SET initiated_at = '2025-11-14 10:00:00+00' WHERE id = 3;
SELECT is(pg_temp.waits_for('calls', 3), 'UB006', 'a call that moves out of that month as well');
UPDATE calls SET duration_seconds = 120 WHERE id = 3;
SELECT is(
    pg_temp.waits_for('calls', 3) || (SELECT count(*) FROM usage_records), 'UB0060',
    'and is corrected there: it may still be billed in the month that it left');
INSERT INTO messages (id, tenant_id, channel, status, sent_at) VALUES (40, 7, 'sms', 'sent', '2025-10-14 10:00:00+00');
SELECT is(pg_temp.waits_for('messages', 40), 'UB006', 'a message of that month as well');
SELECT throws_ok(
    $$SELECT record_usage(7, 'voice', 'minute', 'another by hand', 1, '{}', '2025-10-14 10:00:00+00')$$, 'UB006', NULL,
    'recording by hand is UB006');
SELECT lives_ok(
    format(
        $$DO 'BEGIN ASSERT billing.record_usage(7, ''voice'', ''minute'', ''by hand'', 1, ''{}'', ''2025-10-14 10:00:00+00'') = %s; END'$$,
        :by_hand),
    'a resource recorded before gives its id all the same');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (40, 7, 'completed', '2025-11-14 10:00:00+00', 60);
SELECT is(pg_temp.story('calls', 40), 'charge 0.015', 'other months are billed as ever');
UPDATE calls SET duration_seconds = 120 WHERE id = 40;
SELECT is(pg_temp.story('calls', 40), 'charge 0.015, reversal -0.015, charge 0.03', 'and corrected');
INSERT INTO messages (id, tenant_id, channel, status, sent_at) VALUES (11, 7, 'sms', 'sent', '2025-11-14 10:00:00+00');
UPDATE messages SET status = 'failed' WHERE id = 11;
SELECT is(
    pg_temp.story('messages', 11), 'charge 0.0075, reversal -0.0075', 'so is a message with the id of a call that waits for its month');
SELECT is((SELECT context ->> 'month' FROM unrated_usage WHERE source_table = 'calls' AND source_id = 1), '2025-10-01', 'what waits says for which month');
SELECT is(record_difference('calls', 12, NULL), 0, 'and looking at it again writes nothing');
UPDATE calls SET to_number = '1555***' WHERE id = 4;
SELECT is(pg_temp.waits_for('calls', 4), NULL, 'a number that is forgotten in a row of that month changes nothing of what it is worth');
UPDATE calls SET to_number = '***' WHERE id = 4;
SELECT is(pg_temp.waits_for('calls', 4), NULL, 'nor does one of which nothing is left');
UPDATE calls SET call_sid = 'another' WHERE id = 5;
SELECT is(pg_temp.waits_for('calls', 5), 'UB006', 'another call in its row does');
UPDATE calls SET to_number = '1555***', duration_seconds = 90 WHERE id = 6;
SELECT is(pg_temp.waits_for('calls', 6), 'UB006', 'and so does what changes beside the number');
SELECT is((SELECT recorded FROM record_rows('calls', ARRAY[1, 6])), 0::bigint, 'looking at rows of that month writes nothing');
SELECT is((SELECT resolved FROM retry_unrated()), 0::bigint, 'trying again settles nothing yet');

-- Back.
SELECT is(attach_month('2025-10-01'), 'billing.usage_records_2025_10', 'the month is attached again');
SELECT throws_ok($$SELECT attach_month('2025-10-01')$$, 'UB012', NULL, 'once');
SELECT is((SELECT resolved FROM retry_unrated()), 26::bigint, 'trying again settles all that was set aside');
SELECT is(pg_temp.story('calls', 11), 'charge 0.015', 'what came late is billed');
SELECT is((SELECT usage_date FROM usage_records WHERE source_table = 'calls' AND source_id = 11), '2025-10-14', 'on its day');
SELECT is(pg_temp.story('calls', 1), 'charge 0.015, reversal -0.015, charge 0.03', 'what was corrected is billed anew');
SELECT is(pg_temp.net('calls', 2), 0::numeric, 'what failed is reversed');
SELECT is(pg_temp.net('calls', 3), 0.03, 'what moved is billed once');
SELECT throws_ok('DELETE FROM usage_records_2025_10', 'UB014', NULL, 'the records are as append-only as before');

-- Away once more.
SELECT is(detach_month('2025-10-14'), 'billing.usage_records_2025_10', 'the month is detached again');
UPDATE calls SET duration_seconds = 180 WHERE id = 3;
SELECT is(pg_temp.net('calls', 3), 0.045, 'what left it before, and was settled, is corrected in its new month');

-- What has no time of its own was billed for when it was recorded: then, and not today.
SELECT is(attach_month('2025-10-01'), 'billing.usage_records_2025_10', 'the month is back');
INSERT INTO messages (id, tenant_id, channel, status, sent_at)
SELECT n, 7, 'sms', 'sent', '2025-10-14 10:00:00+00'
FROM generate_series(51, 56) AS n;
UPDATE messages SET sent_at = NULL WHERE id BETWEEN 51 AND 56;
SELECT is(detach_month('2025-10-14'), 'billing.usage_records_2025_10', 'and away with messages that have no time');
SELECT is_empty('SELECT * FROM verify()', 'which are not missed');
SELECT is(
    (SELECT sum(repaired + unrated) FROM reconcile((now() - interval '1 day')::date, (now() + interval '1 day')::date)), 0::numeric,
    'the sweep leaves them alone');
SELECT throws_ok('SELECT record_message_usage(51)', 'UB006', NULL, 'recording one by hand is UB006');
UPDATE messages SET media_urls = '["a"]' WHERE id = 52;
UPDATE messages SET status = 'failed' WHERE id = 53;
UPDATE messages SET delivered_at = '2025-11-14 10:00:00+00' WHERE id = 54;
SELECT is(
    (SELECT string_agg(source_id || ' ' || (context ->> 'month'), ', ' ORDER BY source_id) FROM unrated_usage
        WHERE source_table = 'messages' AND source_id BETWEEN 51 AND 56 AND resolved_at IS NULL),
    '52 2025-10-01, 53 2025-10-01, 54 2025-10-01', 'and a correction of one is set aside');
ALTER TABLE messages DISABLE TRIGGER billing_meter_insert;
INSERT INTO messages (id, tenant_id, channel, status) VALUES (61, 7, 'sms', 'sent');
ALTER TABLE messages ENABLE TRIGGER billing_meter_insert;
SELECT is(
    (SELECT sum(repaired) FROM reconcile((now() - interval '1 day')::date, (now() + interval '1 day')::date)), 1::numeric,
    'a message that is newer than those of the month is found as ever');
-- Each table counts its ids for itself.
ALTER TABLE calls DISABLE TRIGGER billing_meter_insert;
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (53, 7, 'completed', NULL, 60);
ALTER TABLE calls ENABLE TRIGGER billing_meter_insert;
SELECT is(
    (SELECT sum(repaired) FROM reconcile((now() - interval '1 day')::date, (now() + interval '1 day')::date)), 1::numeric,
    'so is a call with the id of one of its messages');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (54, 99, 'completed', NULL, 60);
INSERT INTO tenants (id) VALUES (99);
SELECT is((SELECT resolved FROM retry_unrated()), 1::bigint, 'and one that waited for its tenant is billed');
SELECT is(attach_month('2025-10-01'), 'billing.usage_records_2025_10', 'back once more');
SELECT is((SELECT resolved FROM retry_unrated()), 3::bigint, 'all that was set aside is settled');
SELECT is(
    (SELECT string_agg(source_id || ' ' || sum || ' ' || dates, ', ' ORDER BY source_id) FROM (
        SELECT source_id, trim_scale(sum(total_cost)) AS sum, count(DISTINCT usage_date) AS dates FROM usage_records
        WHERE source_table = 'messages' AND source_id BETWEEN 51 AND 56 GROUP BY source_id) AS net),
    '51 0.0075 1, 52 0.02 2, 53 0 1, 54 0.0075 2, 55 0.0075 1, 56 0.0075 1', 'each is billed once');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
