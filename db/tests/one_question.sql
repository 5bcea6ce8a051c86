-- Functions that answer one question each, and are asked it here alone.
BEGIN;
SELECT plan(85);
\ir fixtures/tenants.sql
\ir fixtures/prices.sql
SET timezone = 'UTC';

-- A tenant that moved from New York to Tokyo at the end of 2025.
SELECT is(zone_of(7, '2025-11-14'), 'America/New_York', 'the zone of a tenant before it moved');
SELECT is(zone_of(7, '2026-01-02'), 'Asia/Tokyo', 'and after');
SELECT is(zone_of(4711, '2026-01-02'), 'UTC', 'of one that is not known');

SELECT is(known_prefix('447512345'), '447', 'as much of a number as prices tell apart');
SELECT is(known_prefix('4475123'), '447', 'the last four digits are not told');
SELECT is(known_prefix('447512'), '44', 'whatever the prices');
SELECT is(known_prefix('999512345'), '', 'nothing of one that no price begins');
SELECT is(COALESCE(known_prefix('sip:447512345'), ''), '', 'nor of what is no number');

SELECT is(bill_seconds(40, 30, 18), 48::numeric, 'increments after the first');
SELECT is(bill_seconds(40.2, 0, 1), 41::numeric, 'a part of a second is a whole one');
SELECT is(bill_seconds(40, 0.5, 1), 40.5, 'after half a second they begin at halves');
SELECT is(bill_seconds(40, 60, 0), 60::numeric, 'no less than the first');
SELECT is(bill_seconds(61.5, 60, 0), 61.5, 'and no increments after it');

SELECT is(mask_texts('[]'), '[]', 'nothing to mask in an empty list');
SELECT is(mask_texts('{}'), '{}', 'nor in an empty object');
SELECT is(
    mask_texts('{"a": "b", "n": 12, "long": 1234567, "+1555": [true, null, "x"]}'), '{"a": "***", "n": 12, "long": "***", "***": [true, null, "***"]}',
    'texts, long numbers and keys that are no words');

SELECT is(
    describe_problem('sms', 'message', 1.50, '2025-11-14 10:00:00+00'),
    '{"channel": "sms", "quantity": "1.50", "occurred_at": "2025-11-14 10:00:00+00", "resource_type": "message"}', 'what is kept of a measurement');

SELECT ok(is_same_destination('44207***', '442071838750') AND is_same_destination('442071838750', '44207***'), 'a number that is forgotten may be any that begins so');
SELECT ok(NOT is_same_destination('44207***', '14155550100') AND NOT is_same_destination('14155550100', '44207***'), 'and no other');
SELECT ok(NOT is_same_destination('1415', '14155550100') AND NOT is_same_destination('14155550100', '1415'), 'a short number is not the beginning of one');
SELECT is(blank_text('Hi'), '***', 'a short text that says nothing');
SELECT is(length(blank_text(repeat('a', 161))), 306, 'a longer one takes as many segments');
SELECT is(blank_text(NULL), NULL, 'none is none');
SELECT is(mask_key('@example.org') || mask_number('@example.org'), '***@example.org***@example.org', 'an address without a name is one');
SELECT is(hide_values(NULL, 'card 4111'), '...', 'an error without a state may say anything');
SELECT is(hide_values('23505', 'for ann@example.org and bob@example.org'), 'for ... and ...', 'addresses are not kept');
SELECT is((measure_message(1, 7, 'sms', 'outbound', 'sent', p_to_address => '+1 415 555 0100')).destination, '14155550100', 'where a text went');
SELECT is((measure_message(1, 7, 'email', 'outbound', 'sent', p_to_address => 'a@b.example')).destination, NULL, 'where an email went is not asked');
SELECT is(record_differences('calls', NULL, NULL), 0, 'no rows, no records');
INSERT INTO calls (id, tenant_id, to_number, status, duration_seconds, answered_at) VALUES (950, 7, '+14155550100', 'completed', 60, now());
SELECT is(record_difference('calls', 950, NULL), 1, 'a row that deserves nothing known gives back its charge');
SELECT is(record_difference('calls', 950, NULL), 0, 'once');
SELECT throws_ok($$SELECT require_own_table('public.tenants'::regclass, 'public.calls')$$, 'UB020', NULL, 'a trigger function serves no other table');
SELECT lives_ok($$SELECT require_own_table('public.calls'::regclass, 'public.calls'), require_own_table('public.calls'::regclass, 'public.gone')$$,
    'its own it does, whatever it is called by now');
CREATE TABLE public.other_calls (LIKE public.calls INCLUDING ALL);
CREATE TRIGGER forged AFTER INSERT ON public.other_calls REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION billing.meter_calls();
SELECT throws_ok(
    $$INSERT INTO other_calls (id, tenant_id, to_number, status, duration_seconds, answered_at) VALUES (77, 7, '+14155550100', 'completed', 60, now())$$,
    'UB020', NULL, 'a table beside calls is not billed as calls');

CREATE SCHEMA other;
CREATE TABLE other.calls (LIKE public.calls INCLUDING ALL);
CREATE TRIGGER forged AFTER INSERT ON other.calls REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION billing.meter_calls();
SELECT throws_ok(
    $$INSERT INTO other.calls (id, tenant_id, to_number, status, duration_seconds, answered_at) VALUES (77, 7, '+14155550100', 'completed', 60, now())$$,
    'UB020', NULL, 'nor one of its name in another schema');

SELECT is((measure_whatsapp_message(1, 7, 'outbound', 'sent')).channel, 'whatsapp', 'a table of WhatsApp messages has no channel of its own');
SELECT is((measure_email(1, 7, 'sent')).channel, 'email', 'nor one of emails');
SELECT is((measure_sms_message(1, 7, 'outbound', 'sent')).channel, 'sms', 'nor one of SMS');
SELECT is(problem_reason('UB002') || ', ' || problem_reason('UB011'), 'unknown tenant, the row has no id, by which it would be found again', 'why there is no price');
SELECT is(find_problem(largest_quantity('minute'), 'minute') IS NULL AND find_problem(0.000001, 'minute') IS NULL, true, 'the most and the least that may be billed');
SELECT is(find_problem(0, 'minute') || find_problem(largest_quantity('minute') + 1, 'minute') || find_problem(NULL, 'minute'), 'UB003UB003UB003', 'and what may not');
SELECT is((measure_sms_message(1, 7, 'outbound', 'sent', p_num_media => 0)).resource_type, 'message', 'no media make no MMS');
SELECT is_empty(
    $$SELECT media FROM unnest('{"","[]","{}","\"\"","null","[null]","[\"\"]"," [ ] "}'::text[]) AS media
      CROSS JOIN LATERAL measure_sms_message(1, 7, 'outbound', 'sent', p_media_urls => media) AS m WHERE m.resource_type <> 'message'$$, 'nor do lists that are empty');
SELECT is((measure_sms_message(1, 7, 'outbound', 'sent', p_media_urls => '["a"]')).resource_type, 'mms', 'one of one does');
SELECT is(normalize_destination('+ ()'), NULL, 'a number without digits is none');
SELECT is(charge('percentage', '{"rate": "1", "fixed_fee": "5"}', 0), 0::numeric, 'nothing of an amount has no fee');
SELECT is(charge('per_unit', '{"unit_price": "2", "increment": "30"}', 40), 120.0, 'increments from the beginning');
SELECT is(zone_shifts('UTC', '2025-03-28', '2025-04-02'), '{}', 'a clock that is never put forward');
SELECT is(zone_shifts('Europe/Berlin', '2025-03-28', '2025-04-02'), '{2025-03-30 01:00:00}', 'and one that is');
SELECT is(
    (SELECT string_agg(p.source_id || ' ' || COALESCE(p.problem, 'priced'), ', ' ORDER BY p.source_id) FROM price_measurements(ARRAY[
        (1, 1, 7, NULL, 'minute', 'R', 60, '1555', '2025-11-14'), (2, 1, 7, 'voice', NULL, 'R', 60, '1555', '2025-11-14'),
        (3, 1, 7, 'voice', 'minute', 'R', largest_quantity('minute'), '1555', '2025-11-14'),
        (4, 1, 7, 'voice', 'minute', 'R', largest_quantity('minute') + 1, '1555', '2025-11-14'),
        (5, 1, 7, 'fax', 'letter', 'R', largest_quantity('letter'), NULL, '2025-11-14')]::measurement[]) AS p),
    '1 UB001, 2 UB001, 3 priced, 4 UB003, 5 priced', 'what is not told has no price, and what is the most still has one');
SELECT is(
    (SELECT p.problem FROM price_measurements(ARRAY[(NULL, 1, 7, 'voice', 'minute', 'R', 60, '1555', '2025-11-14')]::measurement[]) AS p), 'UB011',
    'nor has a row without an id');
SELECT throws_ok($$SELECT record_rows('unheard_of', '{1}')$$, 'UB011', NULL, 'a table that is not metered has no rows');
CREATE TABLE public.kept ();
CREATE TRIGGER kept BEFORE TRUNCATE ON public.kept FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
SELECT lives_ok('TRUNCATE kept', 'an empty table may be emptied');
SELECT throws_ok('TRUNCATE pricing_rates CASCADE', 'UB014', 'pricing_rates is append-only', 'prices may not');

-- What is said to who asks for one row.
CREATE FUNCTION pg_temp.advice(p_sql text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_detail text;
    v_hint text;
BEGIN
    EXECUTE p_sql;
    RETURN NULL;
EXCEPTION
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
        RETURN concat_ws(' ', SQLSTATE, v_detail, v_hint);
END;
$$;
CREATE TABLE public.fragile (id bigint PRIMARY KEY, tenant_id bigint, size text);
CREATE FUNCTION public.measure_fragile(p_id bigint, p_tenant_id bigint, p_size text) RETURNS SETOF billing.measurement
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF p_size LIKE 'UB%' THEN
        RAISE SQLSTATE 'UB012' USING MESSAGE = 'a size', DETAIL = 'It is odd.', HINT = 'Take another.';
    END IF;
    RETURN QUERY SELECT p_id, 1::smallint, p_tenant_id, 'sms', 'message', p_id::text, p_size::numeric, NULL::text, NULL::timestamptz;
END;
$$;
SELECT meter_table('public.fragile', 'public.measure_fragile') \g /dev/null
INSERT INTO fragile VALUES (1, 7, 'large'), (2, 7, 'UB'), (3, 7, '1');
SELECT is(record_row('fragile', 3), 0, 'a row that is recorded already');
SELECT is(
    pg_temp.advice($$SELECT record_row('fragile', 1)$$), '22P02 fragile 1 cannot be measured or recorded. Mend the row, or its measure function.',
    'a row that cannot be measured');
SELECT is(pg_temp.advice($$SELECT record_row('fragile', 2)$$), 'UB012 It is odd. Take another.', 'and one of which its measure function says why');
SELECT is(describe_reason('22P02', 'a "b"', '{"where": "PL/pgSQL function f() line 3 at assignment"}'), 'a "..."', 'what PostgreSQL says is kept without values');
SELECT is(describe_reason('22P02', 'a "b"', '{"where": "PL/pgSQL function f() line 3 at RAISE\nPL/pgSQL function g() line 1 at PERFORM"}'), '...', 'what a function says is not');
SELECT is(describe_reason('UB003', 'a "b"', '{"where": "PL/pgSQL function f() line 3 at RAISE"}'), 'a "b"', 'unless it is ours');
SELECT is(
    describe_error(E'SQL statement "SELECT f(''442071234567'')"\nPL/pgSQL function f(text) line 3 at RAISE\nSQL function "g" statement 1'),
    '{"where": "PL/pgSQL function f(text) line 3 at RAISE\nSQL function \"g\" statement 1"}', 'of where it was only the functions are kept');
SELECT is(describe_reason('22P02', 'a "b"', NULL), 'a "..."', 'nothing is known of where');

-- A month that is loaded beside the others.
CREATE TABLE billing.loaded (LIKE billing.usage_records INCLUDING DEFAULTS);
SELECT is(load_first_charges('loaded', 'messages', ARRAY[
    (1, 1, 7, 'sms', 'message', 'A', 1, '1555', '2025-11-14'), (2, 1, 7, 'pigeon', 'message', 'B', 1, '1555', '2025-11-14'),
    (3, 1, 7, 'sms', 'message', 'C', 2, '1555', '2025-11-14')]::measurement[]), 2::bigint, 'what has a price is loaded');
SELECT is(
    (SELECT string_agg(source_id || ' ' || sqlstate, ', ') FROM unrated_usage WHERE source_table = 'messages' AND source_id BETWEEN 1 AND 3), '2 UB001',
    'the rest is set aside');

-- Keys that rows name: also where one table has none, and one is gone.
CREATE TABLE public.gone (id bigint PRIMARY KEY, tenant_id bigint, direction text, status text, call_sid text, duration_seconds numeric);
SELECT meter_table('public.gone', 'billing.measure_call', 'call_sid') \g /dev/null
DROP TABLE gone;
INSERT INTO calls (id, tenant_id, call_sid, status) VALUES (960, 7, 'CA-in-use', 'ringing');
SELECT is(keys_in_use('{CA-in-use,CA-other}'), '{CA-in-use}', 'what a row names is in use');

-- Where a detached month is.
INSERT INTO detached_months (month, table_name, dropped_at)
VALUES ('2019-01-01', 'usage_records_2019_01', NULL), ('2019-02-01', 'usage_records_2019_02', '2025-01-02'), ('2019-03-01', 'usage_records_2019_03', '2025-01-02');
INSERT INTO archives (month, sha256, manifest) VALUES ('2019-03-01', repeat('a', 64), '{"file": "march.csv.gz"}');
SELECT is(
    (SELECT string_agg(describe_detached(m), ' ' ORDER BY m) FROM unnest('{2019-01-01,2019-02-01,2019-03-01}'::date[]) AS m),
    'The month 2019-01 is detached: its records are in billing.usage_records_2019_01. The month 2019-02 was dropped on 2025-01-02. '
    'The month 2019-03 is archived: its records are in the file march.csv.gz.', 'in a table, nowhere, in a file');

-- All terms of a tenant are held while they begin to look closer, and no other's.
INSERT INTO tenant_terms (tenant_id, valid_from, plan_id, timezone, currency, cards, looks_closer)
SELECT tenant_id, now(), plan_id, timezone, currency, cards, true FROM tenant_terms WHERE tenant_id IN (8, 9);
UPDATE tenant_terms SET looks_closer = true WHERE tenant_id <> 8;
SELECT look_closer(8) \g /dev/null
SELECT results_eq(
    'SELECT tenant_id, looks_closer, xmax <> 0 FROM tenant_terms WHERE tenant_id IN (8, 9) ORDER BY tenant_id, valid_from',
    'VALUES (8::bigint, true, true), (8, true, true), (9, true, false), (9, true, false)', 'terms that look closer already are held, too');

-- Tables that are metered, and can no longer be read.
CREATE TABLE public.readings (id bigint PRIMARY KEY, tenant_id bigint, direction text, status text, call_sid text, duration_seconds numeric);
SELECT lives_ok($$SELECT meter_table('public.readings', 'billing.measure_call', 'call_sid')$$, 'a table is metered');
SELECT ok(is_readable('readings'), 'and readable');
ALTER TABLE readings ALTER COLUMN id TYPE text;
SELECT ok(NOT is_readable('readings'), 'no longer by ids that are texts');
ALTER TABLE readings ALTER COLUMN id TYPE information_schema.cardinal_number USING id::integer;
SELECT ok(is_readable('readings'), 'but by a domain of integers');
ALTER TABLE readings DROP COLUMN status CASCADE;
SELECT ok(NOT is_readable('readings'), 'no longer without a column that is measured');
SELECT ok(NOT is_readable('unheard_of'), 'nor what is not metered');

-- What was set aside, and whose row is gone.
SELECT set_aside('calls', 901, NULL::smallint, 7, 'UB001', 'x', '{}'), set_aside('calls', 902, NULL::smallint, 7, 'UB001', 'x', '{"is_renamed": true}') \g /dev/null
SELECT retry_row('calls', 901) \g /dev/null
SELECT is((SELECT reason FROM unrated_usage WHERE source_id = 901), 'the row was deleted before it was rated', 'a row that is gone cannot be rated');
SELECT retry_row('calls', 902) \g /dev/null
SELECT ok((SELECT resolved_at IS NOT NULL FROM unrated_usage WHERE source_id = 902), 'one that has another id now is settled');
SELECT ok((SELECT resolved_at IS NULL FROM unrated_usage WHERE source_id = 901), 'and only that');
INSERT INTO unrated_usage (source_table, source_id, tenant_id, sqlstate, context, resolved_at)
VALUES ('calls', 903, 7, 'UB001', '{"is_renamed": true}', now()), ('calls', 903, 7, 'UB001', '{}', NULL);
SELECT retry_row('calls', 903) \g /dev/null
SELECT is(
    (SELECT reason FROM unrated_usage WHERE source_id = 903 AND resolved_at IS NULL), 'the row was deleted before it was rated',
    'what was renamed and settled before does not settle what waits now');
SELECT set_aside('calls', NULL, NULL::smallint, 7, 'UB011', 'x', '{}'), set_aside('calls', NULL, NULL::smallint, 7, 'UB011', 'y', '{}') \g /dev/null
SELECT is((SELECT string_agg(attempts || ' ' || reason, ', ') FROM unrated_usage WHERE source_id IS NULL), '2 y', 'rows without an id share an entry');
SELECT is((SELECT reason FROM unrated_usage WHERE source_id = 901), 'the row was deleted before it was rated', 'no other');

SELECT set_aside('calls', 904, NULL::smallint, 7, 'UB001', 'z', '{}') \g /dev/null
SELECT is((SELECT string_agg(attempts || ' ' || reason, ', ') FROM unrated_usage WHERE source_id IS NULL), '2 y', 'which is none of a row that has one');

SELECT set_aside('messages', 905, NULL::smallint, 7, 'UB001', 'x', '{"is_renamed": true}'), set_aside('calls', 905, NULL::smallint, 7, 'UB001', 'x', '{}') \g /dev/null
SELECT retry_row('calls', 905) \g /dev/null
SELECT is(
    (SELECT string_agg(source_table, ', ') FROM unrated_usage WHERE source_id = 905 AND resolved_at IS NULL AND attempts = 2), 'calls',
    'what was renamed in one table settles nothing of another');
SELECT record_difference('messages', NULL, ARRAY[(NULL, 1, 7, 'sms', 'message', 'R', 1, NULL, now())::measurement]) \g /dev/null
SELECT is((SELECT sqlstate FROM unrated_usage WHERE source_table = 'messages' AND source_id IS NULL), 'UB011', 'what has no id is set aside for that');

-- A charge that has no row any more, beside one recorded by hand for the same resource.
SELECT record_usage(7, 'sms', 'message', 'kept', 1), record_usage(7, 'sms', 'message', 'other', 2) \g /dev/null
CREATE FUNCTION pg_temp.keep() RETURNS void
LANGUAGE sql AS $$
    SELECT keep_by_resource(jsonb_populate_record(r, '{"resource_id": "kept"}')) FROM usage_records AS r WHERE r.resource_id = 'other'
$$;
CREATE FUNCTION pg_temp.kept() RETURNS text
LANGUAGE sql AS $$
    SELECT r.resource_id || CASE WHEN d.reversed_at IS NULL THEN '' ELSE ', reversed' END
    FROM direct_usage AS d INNER JOIN usage_records AS r ON r.id = d.record_id WHERE d.resource_id = 'kept'
$$;
SELECT pg_temp.keep() \g /dev/null
SELECT is(pg_temp.kept(), 'kept', 'what stands by hand is not replaced');
UPDATE direct_usage SET reversed_at = now() WHERE resource_id = 'kept';
SELECT is(pg_temp.kept(), 'kept, reversed', 'what was taken over by its row');
SELECT pg_temp.keep() \g /dev/null
SELECT is(pg_temp.kept(), 'other', 'is');

SELECT * FROM finish();
ROLLBACK;
