-- What a statement of the application asks of the recorder: as little as there is to do, and never an error that it could keep.
BEGIN;
SELECT plan(54);
SET client_min_messages = error;
\ir fixtures/tenants.sql

CREATE TEMPORARY TABLE asked (what text);
CREATE FUNCTION pg_temp.asked() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_asked text := (SELECT string_agg(what, '; ' ORDER BY what) FROM pg_temp.asked);
BEGIN
    TRUNCATE pg_temp.asked;
    RETURN v_asked;
END $$;
CREATE FUNCTION pg_temp.ids(p_measured measurement[]) RETURNS text
LANGUAGE sql AS $$ SELECT COALESCE(string_agg(m.source_id || ':' || m.quantity, ' ' ORDER BY m.source_id, m.quantity), '-') FROM unnest(p_measured) AS m $$;
CREATE FUNCTION pg_temp.ask(p_what text, p_rest text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pg_temp.asked VALUES (p_what || ' ' || p_rest);
    IF current_setting('t.' || p_what, true) <> '' THEN
        RAISE 'no luck' USING ERRCODE = current_setting('t.' || p_what);
    END IF;
END $$;
CREATE FUNCTION pg_temp.fails(p_first text DEFAULT '', p_changes text DEFAULT '', p_aside text DEFAULT '') RETURNS void
LANGUAGE sql AS $$ SELECT set_config('t.first', p_first, true), set_config('t.changes', p_changes, true), set_config('t.inserted', p_changes, true),
    set_config('t.aside', p_aside, true) $$;

CREATE OR REPLACE FUNCTION billing.record_first_charge(
    p_source_table text, p_source_id bigint, p_part smallint, p_tenant_id bigint, p_channel text, p_resource_type text, p_resource_id text,
    p_measured numeric, p_destination text, p_occurred_at timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_temp.ask('first', p_source_id || ':' || p_measured); END $$;
CREATE OR REPLACE FUNCTION billing.record_first_charges(p_source_table text, p_measured measurement[]) RETURNS integer
LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_temp.ask('rest', pg_temp.ids(p_measured)); RETURN 1; END $$;
CREATE OR REPLACE FUNCTION billing.record_changes(
    p_source_table text, p_first measurement[], p_before measurement[] DEFAULT NULL, p_now measurement[] DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_temp.ask('changes', concat_ws(' ', pg_temp.ids(p_first), 'before', pg_temp.ids(p_before), 'now', pg_temp.ids(p_now))); END $$;
CREATE OR REPLACE FUNCTION billing.record_inserted(p_source_table text, p_measured measurement[]) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_temp.ask('inserted', pg_temp.ids(p_measured)); END $$;
CREATE OR REPLACE FUNCTION billing.record_or_set_aside(p_source_table text, p_source_ids bigint[], p_sqlstate text, p_message text, p_context text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_temp.ask('aside', concat_ws(' ', ARRAY(SELECT unnest(p_source_ids) ORDER BY 1), p_sqlstate, p_message, p_context IS NOT NULL)); END $$;
SELECT pg_temp.fails() \g /dev/null

-- An ordinary table.
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
SELECT n, 7, 'CA' || n, 'in-progress', '2025-11-14 10:00:00+00', 60 FROM generate_series(1, 50) AS n;
UPDATE calls SET hangup_cause = 'x' WHERE id <= 50;
SELECT is(pg_temp.asked(), NULL, 'rows that are worth nothing ask nothing');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (51, 7, 'completed', '2025-11-14', 60), (52, 7, 'failed', '2025-11-14', 60);
SELECT is(pg_temp.asked(), 'first 51:60', 'a row that is inserted and worth something is a first charge');
UPDATE calls SET status = 'completed' WHERE id <= 2;
SELECT is(pg_temp.asked(), 'first 1:60; first 2:60', 'rows that come to be worth something are, too');
UPDATE calls SET status = 'completed' WHERE id BETWEEN 3 AND 9;
SELECT is((SELECT count(*) FROM asked WHERE what LIKE 'first%') || ' ' || (SELECT count(*) FROM asked), '7 7', 'seven of them one by one');
SELECT pg_temp.asked() \g /dev/null
UPDATE calls SET status = 'completed' WHERE id BETWEEN 10 AND 20;
SELECT matches(pg_temp.asked(), '^(first \d\d:60; ){8}rest \d\d:60 \d\d:60 \d\d:60$', 'of more the others at once');
UPDATE calls SET hangup_cause = 'y' WHERE id <= 20;
SELECT is(pg_temp.asked(), NULL, 'what stays worth the same asks nothing');
UPDATE calls SET duration_seconds = 90 WHERE id = 1;
SELECT is(pg_temp.asked(), 'changes - before 1:60 now 1:90', 'a correction is what a row was worth and is worth');
UPDATE calls SET status = CASE id WHEN 2 THEN 'failed' ELSE 'completed' END, duration_seconds = CASE WHEN id IN (3, 22) THEN 90 ELSE duration_seconds END
WHERE id IN (1, 2, 3, 21, 22);
SELECT is(pg_temp.asked(), 'changes 21:60 22:90 before 2:60 3:60 now 3:90', 'of many, those that came, those that went or changed, and no more');
UPDATE calls SET hangup_cause = 'z', status = 'completed' WHERE id IN (3, 23);
SELECT is(pg_temp.asked(), 'changes 23:60 before - now -', 'one that came beside one that stays');
UPDATE calls SET status = 'failed' WHERE id = 3;
SELECT is(pg_temp.asked(), 'changes - before 3:90 now -', 'one that went');

SELECT pg_temp.fails('22000') \g /dev/null
UPDATE calls SET status = 'completed' WHERE id = 24;
SELECT is(pg_temp.asked(), 'changes 24:60 before - now -', 'a first charge that fails is looked at again');
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (53, 7, 'completed', '2025-11-14', 60);
SELECT is(pg_temp.asked(), 'inserted 53:60', 'inserted, too');
SELECT pg_temp.fails('22000', '22003') \g /dev/null
UPDATE calls SET status = 'completed' WHERE id BETWEEN 24 AND 26;
SELECT is(pg_temp.asked(), 'aside {24,25,26} 22003 no luck t', 'and set aside where it fails again, all rows of the statement');
UPDATE calls SET id = 1024 WHERE id = 24;
SELECT is(pg_temp.asked(), 'aside {1024} 22003 no luck t', 'a row that got another id, under that');
SELECT is(
    (SELECT string_agg(source_id || ' ' || sqlstate, ', ') FROM unrated_usage WHERE context ? 'is_renamed'), '24 22003',
    'and what was billed under the id that it gave up');
SELECT pg_temp.fails('22000', '22003', '22004') \g /dev/null
SELECT lives_ok($$UPDATE calls SET status = 'completed' WHERE id = 27$$, 'where not even that is possible, the write succeeds');
SELECT lives_ok(
    $$INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (54, 7, 'completed', '2025-11-14', 60)$$, 'of a new row as well');
SELECT throws_ok(
    format('SELECT pg_temp.fails(%L, %L, %L); UPDATE calls SET status = ''completed'' WHERE id = 28', first, changes, aside), state, NULL, state || ' is passed on')
FROM unnest(ARRAY['40001', '40P01', 'XX001', 'XX002']) AS state
CROSS JOIN LATERAL (VALUES (state, '', ''), ('22000', state, ''), ('22000', '22003', state)) AS steps (first, changes, aside);
SELECT pg_temp.fails() \g /dev/null
SELECT pg_temp.asked() \g /dev/null

-- A trigger of the application's own changes rows meanwhile: what they are worth in the end counts.
CREATE FUNCTION pg_temp.adjust() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE calls SET duration_seconds = 30 WHERE id = NEW.id AND duration_seconds <> 30 AND status = 'completed';
    RETURN NULL;
END $$;
CREATE TRIGGER a_adjust AFTER UPDATE OF status ON calls FOR EACH ROW EXECUTE FUNCTION pg_temp.adjust();
UPDATE calls SET status = 'completed' WHERE id = 30;
SELECT is(pg_temp.asked(), 'changes - before - now 30:30; changes - before 30:60 now 30:30', 'within the statement and after it');
DROP TRIGGER a_adjust ON calls;
UPDATE calls SET status = 'completed' WHERE id = 31;
SELECT is(pg_temp.asked(), 'changes - before - now 31:60', 'for the rest of the transaction');
SELECT set_config('billing.is_nested', '', true) \g /dev/null
UPDATE calls SET status = 'completed' WHERE id = 32;
SELECT is(pg_temp.asked(), 'first 32:60', 'and no longer');

-- A row that was billed before under its id.
INSERT INTO usage_records (
    tenant_id, source_id, rate_id, occurred_at, usage_date, part, source_table, channel, resource_type, resource_id, quantity, unit_cost, total_cost, currency,
    seconds, billed_quantity
)
SELECT 7, 60, id, '2025-11-14', '2025-11-14', 1, 'calls', 'voice', 'minute', 'CA60', 1, 0.015, 0.015, 'USD', 60, 1 FROM pricing_rates WHERE channel = 'voice';
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (60, 7, 'completed', '2025-11-14', 60), (61, 7, 'completed', '2025-11-14', 60);
SELECT is(pg_temp.asked(), 'inserted 60:60 61:60', 'is looked for when it is inserted');

-- A partitioned table, row by row.
CREATE TABLE public.call_log (
    id bigint NOT NULL, tenant_id bigint, direction text NOT NULL DEFAULT 'outbound', status text, initiated_at timestamptz NOT NULL, duration_seconds numeric,
    PRIMARY KEY (id, initiated_at)
) PARTITION BY RANGE (initiated_at);
CREATE TABLE public.call_log_10 PARTITION OF public.call_log FOR VALUES FROM ('2025-10-01') TO ('2025-11-01');
CREATE TABLE public.call_log_11 PARTITION OF public.call_log FOR VALUES FROM ('2025-11-01') TO ('2025-12-01');
SELECT lives_ok($$SELECT meter_table('public.call_log', 'billing.measure_call')$$, 'a partitioned table');
INSERT INTO call_log VALUES (1, 7, 'outbound', 'failed', '2025-10-14', 60), (2, 7, 'outbound', 'completed', '2025-10-14', 60);
SELECT is(pg_temp.asked(), 'inserted 2:60', 'an inserted row that is worth something is asked for');
UPDATE call_log SET duration_seconds = 70 WHERE id = 1;
SELECT is(pg_temp.asked(), NULL, 'one that is worth nothing is not');
UPDATE call_log SET status = 'completed' WHERE id IN (1, 2);
SELECT is(pg_temp.asked(), 'changes 1:70 before - now -', 'nor one that stays what it is, beside one that comes to be worth something');
UPDATE call_log SET duration_seconds = 90 WHERE id = 1;
SELECT is(pg_temp.asked(), 'changes - before 1:70 now 1:90', 'a correction is what it was and is');
UPDATE call_log SET status = 'failed' WHERE id = 1;
SELECT is(pg_temp.asked(), 'changes - before 1:90 now -', 'so is what it is no more');
UPDATE call_log SET initiated_at = '2025-11-14' WHERE id = 2;
SELECT is(pg_temp.asked(), 'changes - before 2:60 now 2:60; inserted 2:60', 'a row that moves is inserted there and gone here');
UPDATE call_log SET initiated_at = '2025-11-14' WHERE id = 1;
SELECT is(pg_temp.asked(), NULL, 'one that is worth nothing may move as it likes');
DELETE FROM call_log WHERE id = 2;
SELECT is(pg_temp.asked(), NULL, 'a row that is deleted stays billed');
INSERT INTO call_log VALUES (3, 7, 'outbound', 'failed', '2025-10-14', 60);
SELECT pg_temp.fails('', '22003') \g /dev/null
UPDATE call_log SET status = 'completed' WHERE id = 3;
SELECT is(pg_temp.asked(), 'aside {3} 22003 no luck t', 'what fails is set aside');
INSERT INTO call_log VALUES (4, 7, 'outbound', 'completed', '2025-10-14', 60);
SELECT is(pg_temp.asked(), 'aside {4} 22003 no luck t', 'when it is inserted, too');
UPDATE call_log SET initiated_at = '2025-11-14' WHERE id = 4;
SELECT is(pg_temp.asked(), 'aside {4} 22003 no luck t; aside {4} 22003 no luck t', 'and when it moves');
SELECT pg_temp.fails('', '22003', '22004') \g /dev/null
SELECT lives_ok($$UPDATE call_log SET duration_seconds = 90 WHERE id = 3$$, 'where not even that is possible, the write succeeds');
SELECT throws_ok(
    format('SELECT pg_temp.fails('''', %L, %L); UPDATE call_log SET duration_seconds = 95 WHERE id = 3', changes, aside), state, NULL, state || ' is passed on')
FROM unnest(ARRAY['40001', '40P01', 'XX001', 'XX002']) AS state
CROSS JOIN LATERAL (VALUES (state, ''), ('22003', state)) AS steps (changes, aside);

SELECT * FROM finish();
ROLLBACK;
