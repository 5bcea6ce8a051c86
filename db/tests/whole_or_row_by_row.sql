-- What cannot be recorded together is recorded row by row, and only what fails then is set aside.
BEGIN;
SELECT plan(60);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

CREATE FUNCTION pg_temp.call(p_id bigint, p_seconds numeric DEFAULT 60, p_tenant_id bigint DEFAULT 7, p_resource text DEFAULT NULL)
RETURNS measurement
LANGUAGE sql
AS $$
    SELECT (p_id, 1, p_tenant_id, 'voice', 'minute', COALESCE(p_resource, 'R' || p_id), p_seconds, NULL, '2025-11-14 10:00:00+00')::billing.measurement
$$;
CREATE FUNCTION pg_temp.ids(p_measured measurement[]) RETURNS text
LANGUAGE sql AS $$ SELECT string_agg(m.source_id || ':' || m.quantity, ' ' ORDER BY m.source_id, m.quantity) FROM unnest(p_measured) AS m $$;

-- Records, entries and resources recorded by hand that are near the rows below.
SELECT is(record_first_charges('near', ARRAY[pg_temp.call(1), pg_temp.call(8)]), 2, 'charges of two rows');
SELECT is(record_first_charges('far', ARRAY[pg_temp.call(2, p_resource => 'far')]), 1, 'of one in another table');
INSERT INTO direct_usage (tenant_id, channel, resource_type, resource_id, record_id, created_at, usage_date)
SELECT tenant_id, channel, resource_type, resource_id, 1, now(), '2025-11-14'
FROM (VALUES
    (7, 'voice', 'minute', 'R6'), (8, 'voice', 'minute', 'R7'), (7, 'sms', 'minute', 'R7'), (7, 'voice', 'message', 'R7')
) AS hand (tenant_id, channel, resource_type, resource_id);
SELECT throws_ok($$SELECT record_first_charges('near', ARRAY[pg_temp.call(9), pg_temp.call(6)])$$, '23505', NULL, 'a resource recorded by hand is refused');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, unit_price, effective_from, charge_model, terms)
VALUES (8, 'voice', 'minute', '', 0, '2025-01-01', 'volume', '{"tiers": [{"unit_price": "0.01"}]}');
SELECT is(record_first_charges('far', ARRAY[pg_temp.call(8), pg_temp.call(9, 60, 8)]), 2, 'two of which a period prices one');
SELECT is(
    (SELECT array_agg(DISTINCT rate_id <> 0 ORDER BY rate_id <> 0) FROM usage_deltas WHERE (total_cost = 0) = (rate_id <> 0)), '{f,t}',
    'add to their days, that one under its rate');
SELECT is(record_first_charges('near', ARRAY[pg_temp.call(7)]), 1, 'those of that name of another tenant, channel and type are others');
INSERT INTO unrated_usage (source_table, source_id, part, sqlstate, reason, resolved_at)
VALUES ('near', 3, 1, 'UB001', 'as it was', NULL), ('near', 3, 2, 'UB001', 'as it was', NULL), ('far', 3, 1, 'UB001', 'as it was', NULL),
    ('near', 3, 1, 'UB001', 'as it was', '2025-11-14'), ('far', 4, 1, 'UB001', 'as it was', NULL), ('near', 5, 1, 'UB001', 'as it was', '2025-11-14');

-- Setting aside and trying again touch the open entries of the row, or of its part, and no other.
CREATE FUNCTION pg_temp.entries() RETURNS text
LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', source_table, source_id, part, sqlstate, attempts), ', ' ORDER BY id)
    FROM billing.unrated_usage WHERE reason <> 'as it was' $$;
SELECT lives_ok($$SELECT set_aside('near', 3, 1::smallint, 7, 'UB002', 'now', '{"a": 1}')$$, 'a part that fails again');
SELECT is(pg_temp.entries(), 'near 3 1 UB002 2', 'counts an attempt in its own entry');
SELECT lives_ok($$SELECT set_aside('near', 3, 3::smallint, 7, 'UB002', 'now', '{}')$$, 'another part');
SELECT is(pg_temp.entries(), 'near 3 1 UB002 2, near 3 3 UB002 1', 'has an entry of its own');
-- From here on functions are stood in for by others, which fail when they are told to.
SELECT set_config('t.all', '', true), set_config('t.first', '', true), set_config('t.row', '', true) \g /dev/null
CREATE TEMPORARY TABLE asked (what text);
CREATE FUNCTION pg_temp.asked() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_asked text := (SELECT string_agg(what, '; ' ORDER BY what) FROM pg_temp.asked);
BEGIN
    TRUNCATE pg_temp.asked;
    RETURN v_asked;
END $$;
CREATE FUNCTION pg_temp.fail(p_state text) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN IF p_state <> '' THEN RAISE 'no luck' USING ERRCODE = p_state; END IF; END $$;
CREATE OR REPLACE FUNCTION billing.settle_recorded(p_tenant_ids bigint[], p_resource_ids text[]) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN INSERT INTO pg_temp.asked VALUES (concat_ws(' ', 'settle', p_tenant_ids, p_resource_ids)); END $$;
UPDATE tenant_terms SET looks_closer = true WHERE tenant_id = 8;
SELECT record_first_charges('near', ARRAY[pg_temp.call(31), pg_temp.call(32)]) \g /dev/null
SELECT is(pg_temp.asked(), NULL, 'who reserves nothing has nothing to settle');
SELECT record_first_charges('near', ARRAY[pg_temp.call(33), pg_temp.call(34, 60, 8)]) \g /dev/null
SELECT is(pg_temp.asked(), 'settle {7,8} {R33,R34}', 'who does has');
SELECT record_difference('near', 34, '{}') \g /dev/null
SELECT is(pg_temp.asked(), 'settle', 'but not for what is taken back');
CREATE TEMPORARY SEQUENCE tries;
CREATE OR REPLACE FUNCTION billing.record_rows(p_source_table text, p_source_ids bigint[])
RETURNS TABLE (scanned bigint, deserving bigint, recorded bigint)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('tries'), pg_temp.fail(current_setting('t.all'));
    INSERT INTO pg_temp.asked (what) VALUES (format('rows %s', p_source_ids));
    RETURN QUERY VALUES (CASE WHEN p_source_ids = '{4}' THEN 1 ELSE 0 END::bigint, 0::bigint, 0::bigint);
END $$;
SELECT lives_ok($$SELECT retry_row('near', 4)$$, 'a row that is tried again');
SELECT is(pg_temp.entries(), 'near 3 1 UB002 2, near 3 3 UB002 1', 'and recorded leaves its entry to the recorder');
SELECT lives_ok($$SELECT retry_row('near', 3)$$, 'one that is gone');
SELECT is(
    pg_temp.entries(), 'near 3 1 UB002 3, near 3 2 UB001 2, near 3 3 UB002 2', 'counts an attempt in its open entries');
SELECT is(
    (SELECT count(*) FROM unrated_usage WHERE reason = 'the row was deleted before it was rated'), 3::bigint, 'which say so');
SELECT set_config('t.all', '22003', true) \g /dev/null
SELECT lives_ok($$SELECT retry_row('near', 3)$$, 'one that fails');
SELECT is(
    pg_temp.entries(), 'near 3 1 22003 4, near 3 2 22003 3, near 3 3 22003 3', 'counts one, too, and says with what');
SELECT throws_ok(format('SELECT set_config(''t.all'', %L, true), retry_row(''near'', 3)', state), state, NULL, state || ' is not swallowed by a retry')
FROM unnest(ARRAY['40001', '40P01', 'XX001', 'XX002']) AS state;
SELECT pg_temp.asked() \g /dev/null

-- After a trigger failed, each row for itself.
CREATE OR REPLACE FUNCTION billing.set_aside(
    p_source_table text, p_source_id bigint, p_part smallint, p_tenant_id bigint, p_sqlstate text, p_reason text, p_context jsonb
) RETURNS void
LANGUAGE sql AS $$ INSERT INTO pg_temp.asked (what) VALUES (concat_ws(' ', 'aside', p_source_id, p_tenant_id, p_sqlstate, p_reason)) $$;
SELECT set_config('t.all', '', true) \g /dev/null
SELECT record_or_set_aside('near', '{4,5}', '22000', 'together', NULL) \g /dev/null
SELECT is(pg_temp.asked(), 'rows {4}; rows {5}', 'several rows are tried one by one');
SELECT record_or_set_aside('near', '{4}', '22000', 'together', NULL) \g /dev/null
SELECT is(pg_temp.asked(), 'aside 4 22000 together', 'a single one was just tried');
SELECT record_or_set_aside('near', '{4,5}', '55P03', 'together', NULL) \g /dev/null
SELECT is(pg_temp.asked(), 'aside 4 55P03 together; aside 5 55P03 together', 'and nobody waits for a lock once more');
SELECT set_config('t.all', '22003', true) \g /dev/null
SELECT record_or_set_aside('near', '{4,5}', '22000', 'together', NULL) \g /dev/null
SELECT is(pg_temp.asked(), 'aside 4 22003 no luck; aside 5 22003 no luck', 'what fails again is set aside with what it said then');
SELECT set_config('t.all', '55P03', true), setval('tries', 1) \g /dev/null
SELECT record_or_set_aside('near', '{4,5,6}', '22000', 'together', NULL) \g /dev/null
SELECT is(
    pg_temp.asked() || currval('tries'), 'aside 4 55P03 no luck; aside 5 55P03 no luck; aside 6 55P03 no luck2',
    'after one has waited for a lock in vain, no other does');
SELECT throws_ok(format('SELECT set_config(''t.all'', %L, true), record_or_set_aside(''near'', ''{4,5}'', ''22000'', ''together'', NULL)', state),
    state, NULL, state || ' is passed on')
FROM unnest(ARRAY['40001', '40P01', 'XX001', 'XX002']) AS state;

-- Rows that may be recorded already: those with a record, an open entry, a resource recorded by hand.
CREATE OR REPLACE FUNCTION billing.record_first_charges(p_source_table text, p_measured measurement[]) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.fail(current_setting('t.first'));
    INSERT INTO pg_temp.asked (what) VALUES ('first ' || pg_temp.ids(p_measured));
    RETURN 10;
END $$;
CREATE OR REPLACE FUNCTION billing.record_difference(
    p_source_table text, p_source_id bigint, p_deserved measurement[], p_before measurement[] DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
    IF p_source_id = 2 THEN PERFORM pg_temp.fail(current_setting('t.row')); END IF;
    INSERT INTO pg_temp.asked (what)
    VALUES (concat_ws(' ', 'row', p_source_id, 'now', pg_temp.ids(p_deserved), CASE WHEN p_before <> '{}' THEN 'before ' || pg_temp.ids(p_before) END));
    RETURN 1;
END $$;
SELECT is(
    record_deserved('near', '{1,2,3,4,5,6,7,8}', ARRAY[
        pg_temp.call(1), pg_temp.call(2), pg_temp.call(3), pg_temp.call(4), pg_temp.call(5), pg_temp.call(6), pg_temp.call(17, p_resource => 'R7')]), 15,
    'rows that may be recorded');
SELECT is(
    pg_temp.asked(), 'first 2:60 4:60 5:60 17:60; row 1 now 1:60; row 3 now 3:60; row 6 now 6:60; row 7 now; row 8 now',
    'are looked at one by one, and the others are not');
SELECT is(record_deserved('near', '{2}', NULL), 0, 'nothing is nothing');

-- The rows of a statement: together, by their difference, one by one.
CREATE OR REPLACE FUNCTION billing.record_differences(p_source_table text, p_before measurement[], p_now measurement[]) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.fail(current_setting('t.all'));
    INSERT INTO pg_temp.asked (what) VALUES (concat_ws(' ', 'all', 'before', pg_temp.ids(p_before), 'now', pg_temp.ids(p_now)));
    RETURN 1;
END $$;
CREATE FUNCTION pg_temp.change(p_first_fails text, p_all_fails text, p_row_fails text, p_has_before boolean DEFAULT true) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('t.first', p_first_fails, true), set_config('t.all', p_all_fails, true), set_config('t.row', p_row_fails, true);
    PERFORM billing.record_changes('near', ARRAY[pg_temp.call(2, p_tenant_id => 8)],
        CASE WHEN p_has_before THEN ARRAY[pg_temp.call(4), pg_temp.call(5, 70)] END, ARRAY[pg_temp.call(4, 90)]);
    RETURN pg_temp.asked();
END $$;
SELECT pg_temp.asked() \g /dev/null
SELECT is(pg_temp.change('', '', ''), 'all before 4:60 5:70 now 4:90; first 2:60', 'together, first charges and the others');
SELECT is(pg_temp.change('', '', '', false), 'all before now 4:90; first 2:60', 'also where it is not known what was before');
SELECT is(pg_temp.change('22000', '', ''), 'all before 4:60 5:70 now 2:60 4:90', 'all by their difference, where one was recorded before');
SELECT is(
    pg_temp.change('22000', '22000', ''), 'row 2 now 2:60; row 4 now 4:90 before 4:60; row 5 now before 5:70', 'or one by one');
SELECT is(
    pg_temp.change('22000', '22000', '22003'), 'aside 2 8 22003 no luck; row 4 now 4:90 before 4:60; row 5 now before 5:70',
    'and what fails by itself is set aside');
SELECT is(
    pg_temp.change('22000', '22000', '23505'), 'aside 2 8 23505 no luck; row 4 now 4:90 before 4:60; row 5 now before 5:70',
    'whatever it failed with');
SELECT throws_ok(format('SELECT pg_temp.change(%L, %L, %L)', first, all_rows, one), state, NULL, state || ' is passed on at every step')
FROM unnest(ARRAY['40001', '40P01', '55P03', 'XX001', 'XX002']) AS state
CROSS JOIN LATERAL (VALUES (state, '', ''), ('22000', state, ''), ('22000', '22000', state)) AS steps (first, all_rows, one);

-- Inserted rows, of which some were billed before under their id.
CREATE OR REPLACE FUNCTION billing.record_changes(
    p_source_table text, p_first measurement[], p_before measurement[] DEFAULT NULL, p_now measurement[] DEFAULT NULL
) RETURNS void
LANGUAGE sql AS $$ INSERT INTO pg_temp.asked (what)
    VALUES (concat_ws(' ', 'first', pg_temp.ids(p_first), 'before', pg_temp.ids(p_before), 'now', pg_temp.ids(p_now))) $$;
SELECT pg_temp.asked() \g /dev/null
SELECT record_inserted('near', ARRAY[pg_temp.call(2), pg_temp.call(1), pg_temp.call(4), pg_temp.call(8)]) \g /dev/null
SELECT is(pg_temp.asked(), 'first 2:60 4:60 before now 1:60 8:60', 'inserted rows that were billed before are brought to what they deserve');
SELECT record_inserted('near', ARRAY[pg_temp.call(2), pg_temp.call(4)]) \g /dev/null
SELECT is(pg_temp.asked(), 'first 2:60 4:60 before now', 'the others are new');
SELECT record_inserted('near', ARRAY[pg_temp.call(8)]) \g /dev/null
SELECT is(pg_temp.asked(), 'first before now 8:60', 'or none of them');

SELECT * FROM finish();
ROLLBACK;
