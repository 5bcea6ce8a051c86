-- A row is deleted and its id given to another: what the first was billed stays, by its resource.
BEGIN;
SELECT plan(17);
\ir fixtures/tenants.sql
SET timezone = 'UTC';

-- All that was written down for some resources, in the order of writing.
CREATE FUNCTION pg_temp.told(p_resources text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(format(
        '%s %s #%s %s%s %s', resource_id, kind, revision, COALESCE(source_id::text, 'no row'),
        CASE part WHEN 1 THEN '' ELSE ' part ' || part END, trim_scale(quantity)
    ), ', ' ORDER BY id)
    FROM billing.usage_records
    WHERE resource_id LIKE p_resources;
$$;
CREATE FUNCTION pg_temp.kept(p_resource text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT CASE WHEN d.reversed_at IS NULL THEN '' ELSE 'not ' END || r.resource_id || ' #' || r.revision
    FROM billing.direct_usage AS d
    INNER JOIN billing.usage_records AS r ON r.id = d.record_id
    WHERE d.resource_id = p_resource;
$$;

INSERT INTO calls (id, tenant_id, call_sid, to_number, status, duration_seconds, answered_at)
VALUES (900, 7, 'CA-old', '+14155550100', 'completed', 60, '2025-11-14 10:00:00+00');
DELETE FROM calls WHERE id = 900;
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, duration_seconds, answered_at)
VALUES (900, 7, 'CA-new', '+14155550100', 'completed', 120, '2025-11-14 11:00:00+00');
SELECT is(
    pg_temp.told('CA-%'), 'CA-old charge #1 900 1, CA-old reversal #2 900 -1, CA-new charge #3 900 2, CA-old charge #1 no row 1',
    'another call under the id of a deleted one is charged beside it');
SELECT is(pg_temp.kept('CA-old'), 'CA-old #1', 'what the deleted one was billed is found by its resource from now on');
SELECT is(pg_temp.kept('CA-new'), NULL, 'what is there is found by its row');
SELECT is((SELECT total_quantity FROM usage_summaries), 3::numeric, 'the day has both');
SELECT is(record_usage(7, 'voice', 'minute', 'CA-old', 1, '{}', '2025-11-14 10:00:00+00'),
    (SELECT id FROM usage_records WHERE resource_id = 'CA-old' AND source_id IS NULL), 'the deleted call is billed once by hand, too');

UPDATE calls SET duration_seconds = 180 WHERE id = 900;
SELECT is(
    (SELECT string_agg(kind || ' ' || resource_id || ' ' || trim_scale(quantity), ', ' ORDER BY id) FROM usage_records WHERE revision > 3),
    'reversal CA-new -2, charge CA-new 3', 'a correction is the new one''s');
UPDATE calls SET status = 'failed' WHERE id = 900;
SELECT is(
    (SELECT string_agg(resource_id || ' ' || quantity, ', ') FROM (
        SELECT resource_id, trim_scale(sum(quantity)) AS quantity FROM usage_records GROUP BY resource_id HAVING sum(quantity) <> 0
    ) AS net), 'CA-old 1', 'and when it fails it is the new one that is taken back');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');

-- The second call comes to be worth something later, on another day, as another part.
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, status, sent_at)
VALUES (901, 7, 'SM-old', 'sms', '+14155550100', 'sent', '2025-11-14 10:00:00+00');
DELETE FROM messages WHERE id = 901;
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, status, sent_at)
VALUES (901, 7, 'SM-new', 'sms', '+14155550100', 'queued', '2025-11-14 11:00:00+00');
SELECT is(pg_temp.told('SM-%'), 'SM-old charge #1 901 1', 'a message that is worth nothing yet changes nothing');
UPDATE messages SET status = 'sent' WHERE id = 901;
SELECT is(
    pg_temp.told('SM-%'), 'SM-old charge #1 901 1, SM-old reversal #2 901 -1, SM-new charge #3 901 1, SM-old charge #1 no row 1',
    'then both are billed');
SELECT is(pg_temp.kept('SM-old'), 'SM-old #1', 'each by what it is found by');

-- The same message comes back from an archive under its id.
DELETE FROM messages WHERE id = 901;
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, status, sent_at)
VALUES (901, 7, 'SM-new', 'sms', '+14155550100', 'sent', '2025-11-14 11:00:00+00');
SELECT is((SELECT count(*) FROM usage_records WHERE resource_id LIKE 'SM-%'), 4::bigint, 'what comes back is billed once');
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, status, sent_at)
VALUES (902, 7, 'SM-old', 'sms', '+14155550100', 'sent', '2025-11-14 10:00:00+00');
SELECT is(
    (SELECT trim_scale(sum(quantity)) FROM usage_records WHERE resource_id = 'SM-old'), 1::numeric,
    'and so is the first under another id');
SELECT is_empty('SELECT * FROM verify()', 'every promise holds');

-- A row without a name of its own is its id: what comes under it is the same row.
INSERT INTO calls (id, tenant_id, to_number, status, duration_seconds, answered_at)
VALUES (903, 7, '+14155550100', 'completed', 60, '2025-11-14 10:00:00+00');
DELETE FROM calls WHERE id = 903;
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, duration_seconds, answered_at)
VALUES (903, 7, 'CA-named', '+14155550100', 'completed', 120, '2025-11-14 10:00:00+00');
SELECT is(pg_temp.told('903'), '903 charge #1 903 1, 903 reversal #2 903 -1', 'a row without a name gives way');
SELECT is(pg_temp.told('CA-named'), 'CA-named charge #3 903 2', 'to the one with it');
SELECT is(pg_temp.kept('903'), NULL, 'and is not kept beside it');

SELECT * FROM finish();
ROLLBACK;
