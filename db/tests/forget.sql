-- A number is taken out of everything that was recorded of it, in every month, and no figure changes.
BEGIN;
SELECT plan(35);
\ir fixtures/tenants.sql
SET timezone = 'UTC';

INSERT INTO pricing_rates (channel, resource_type, prefix, unit_price, effective_from) VALUES ('voice', 'minute', '4420', 0.5, '2025-01-01');
SELECT record_usage(7, 'voice', 'minute', '+442071234567', 1, '{"to": "+44 20 7123 4567", "deep": [{"442071234567": 442071234567, "n": 12345, "ok": true}]}', '2025-11-14'),
    record_usage(7, 'voice', 'minute', 'other', 1, '{"to": "+14155550100"}', '2025-11-14'), grant_credit(7, 100, 'purchase', 'order')
\gset
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at, duration_seconds)
VALUES (1, 7, 'call-442071234567', '+442071234567', 'completed', '2025-11-14 10:00:00+00', 60), (2, 7, 'CA2', '+14155550100', 'completed', '2025-11-14 10:00:00+00', 60);
SELECT reserve_call(7, '+442071234567', '442071234567-open', 60), reserve_call(7, '+442071234567', '442071234567-over', 60), release_reservation('442071234567-over', 7)
\gset
SELECT set_aside('calls', 77, NULL::smallint, 7, 'UB001', 'x', '{"to": "00442071234567"}') \g /dev/null
CREATE TEMPORARY TABLE before AS SELECT * FROM usage_records;
CREATE TEMPORARY TABLE month AS SELECT * FROM usage_records;
CREATE TRIGGER guard BEFORE UPDATE ON month FOR EACH ROW EXECUTE FUNCTION billing.refuse_record_change();

-- What would be done.
CREATE FUNCTION pg_temp.forget(p_is_dry boolean, p_number text DEFAULT '+44 (20) 7123-4567') RETURNS text
LANGUAGE sql AS $$
    SELECT string_agg(table_name || ' ' || changed || CASE WHEN kept > 0 THEN ' kept ' || kept ELSE '' END, ', ' ORDER BY table_name)
    FROM forget_subject(p_number, 'pseudonymise', 'request 12', p_dry_run => p_is_dry)
    WHERE table_name !~ '_20[0-9]{2}_'
$$;
SELECT is(
    pg_temp.forget(true), 'direct_usage 1, reservations 1, unrated_usage 1, usage_records_default 2 kept 1',
    'a dry run says where the number is, and which keys rows still have');
SELECT is_empty('SELECT * FROM before EXCEPT SELECT * FROM usage_records', 'and changes nothing');
SELECT is((SELECT count(*) FROM forgotten_subjects), 0::bigint, 'nor does it remember whom it was asked for');
SELECT is(pg_temp.forget(false), 'direct_usage 1, reservations 1, unrated_usage 1, usage_records_default 2 kept 1', 'then it is done');
SELECT is(current_setting('billing.forgets'), 'off', 'and nothing else may be changed any more');
SELECT is(pg_temp.forget(false), 'usage_records_default 0 kept 1', 'once');
SELECT is(
    (SELECT (f.changed, f.kept)::text FROM read_subject('442071234567') AS s
        CROSS JOIN LATERAL forget_in_table('unrated_usage', 'unrated_usage', s.needle, s.pattern, '***', '\x01', 0, 100) AS f), '(0,0)',
    'where there are no keys none is kept');

-- What is left.
SELECT is(
    (SELECT string_agg(DISTINCT left(destination, 7), ', ') FROM usage_records), '1415555, 4420***', 'of the number what its price was found by, of another all');
SELECT is((SELECT count(DISTINCT destination) FROM usage_records WHERE destination LIKE '4420%'), 1::bigint, 'the same for each of its records');
SELECT matches((SELECT destination FROM usage_records WHERE source_id = 1), '^4420\*\*\*[0-9a-f]{16}$', 'and told from others');
SELECT matches((SELECT resource_id FROM direct_usage WHERE resource_id LIKE '***%'), '^\*\*\*[0-9a-f]{16}$', 'a key that held it is another');
SELECT is(
    (SELECT r.resource_id FROM usage_records AS r WHERE r.id = d.record_id), d.resource_id, 'and is found all the same')
FROM direct_usage AS d WHERE d.resource_id LIKE '***%';
SELECT is((SELECT resource_id FROM usage_records WHERE source_id = 1), 'call-442071234567', 'a key that a row of the application has is kept');
SELECT is(
    (SELECT count(*) FROM usage_records WHERE source_id IS NULL AND resource_id = 'other' AND metadata = '{"to": "+14155550100"}'), 1::bigint, 'what is about others stays');
SELECT is(
    (SELECT regexp_replace(metadata::text, '[0-9a-f]{16}', 'x', 'g') FROM usage_records WHERE resource_id LIKE '***%')::jsonb,
    '{"to": "4420***x", "deep": [{"4420***x": "4420***x", "n": 12345, "ok": true}]}', 'texts, keys and numbers of metadata, and nothing else in them');
SELECT is(
    (SELECT string_agg(key || ' ' || destination, ', ') FROM reservations WHERE outcome IS NULL), '442071234567-open 442071234567', 'a call that is held for goes on');
SELECT matches((SELECT key || ' ' || destination FROM reservations WHERE outcome IS NOT NULL), '^\*\*\*[0-9a-f]{16} 4420\*\*\*[0-9a-f]{16}$', 'one that is over is forgotten');
SELECT matches((SELECT context ->> 'to' FROM unrated_usage), '^4420\*\*\*[0-9a-f]{16}$', 'so is what was set aside');
SELECT is_empty(
    $$SELECT id, tenant_id, rate_id, occurred_at, usage_date, quantity, seconds, unit_cost, total_cost, billed_quantity, xact FROM before
      EXCEPT SELECT id, tenant_id, rate_id, occurred_at, usage_date, quantity, seconds, unit_cost, total_cost, billed_quantity, xact FROM usage_records$$,
    'no figure changes');
SELECT is_empty($$SELECT * FROM verify() WHERE check_name <> 'usage is rated'$$, 'and every promise holds');

-- A month that was away.
SELECT is(forget_again('month'), 2::bigint, 'what comes back with the number is forgotten again');
SELECT is_empty(
    'SELECT id, destination, metadata, resource_id FROM month EXCEPT SELECT id, destination, metadata, resource_id FROM usage_records', 'in the same way');
SELECT is(current_setting('billing.forgets'), 'off', 'and no more than that');
SELECT is(forget_again('month'), 0::bigint, 'once');

-- Mails.
SELECT record_usage(7, 'email', 'message', 'to Bob@Example.org', 1, '{"to": "Bob <bob@example.org>", "cc": ["rob@example.org", "bob@example.organic"]}', '2025-11-14') \g /dev/null
SELECT is((SELECT changed FROM forget_subject('bob@example.org', 'erase', 'request 13') WHERE table_name = 'usage_records_default'), 1::bigint, 'an address is forgotten');
SELECT is(
    (SELECT metadata FROM usage_records WHERE channel = 'email'), '{"to": "Bob <***>", "cc": ["rob@example.org", "bob@example.organic"]}', 'and nobody else''s');
SELECT is(forgotten_text('rob@example.org', (read_subject('bob@example.org')).pattern, '***', '\x01'), 'rob@example.org', 'a text of another is left as it is');
SELECT is(forgotten_text('call 442071234567', (read_subject('442071234567')).pattern, '***', '\x01'), 'call ***', 'of a text with a number the rest is left');
SELECT matches(forgotten_text('Bob <bob@example.org>', (read_subject('bob@example.org')).pattern, '***', '\x01'), '^\*\*\*[0-9a-f]{16}$', 'of one with an address nothing');
SELECT isnt(
    forgotten_text('bob@example.org', (read_subject('bob@example.org')).pattern, '***', '\x01'),
    forgotten_text('Bob <bob@example.org>', (read_subject('bob@example.org')).pattern, '***', '\x01'), 'but who is told apart stays so');
SELECT is(replace_in_json('[5, 442071234567, "a 442071234567", null]', '442071234567', '***'), '[5, "***", "a ***", null]', 'a number that is changed becomes a text');

SELECT throws_ok($$SELECT forget_subject('12345', 'erase', 'r')$$, 'UB012', NULL, 'five digits are no number');
SELECT throws_ok($$SELECT forget_subject('bob', 'erase', 'r')$$, 'UB012', NULL, 'a name no address');
SELECT throws_ok($$SELECT forget_subject('442071234567', 'lose', 'r')$$, 'UB012', NULL, 'there are two ways');
SELECT throws_ok($$SELECT forget_subject('442071234567', 'erase', 'asked by +44 20 7123 4567')$$, 'UB012', NULL, 'and the reason does not say whom');

SELECT * FROM finish();
ROLLBACK;
