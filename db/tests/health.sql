-- An operator sees in one place whether all is well, and each broken promise comes with what to do about it.
BEGIN;
SELECT plan(42);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

CREATE FUNCTION pg_temp.health(p_metric text, p_subject text DEFAULT '')
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat_ws(' ', trim_scale(value), unit, CASE WHEN is_ok THEN 'ok' ELSE 'look' END)
    FROM billing.usage_health
    WHERE metric = p_metric
        AND subject = p_subject;
$$;

SELECT is(pg_temp.health('unrated'), '0 rows ok', 'nothing is unrated');
SELECT is(pg_temp.health('partitions_ahead'), '3 months ok', 'there are partitions ahead');
SELECT is(pg_temp.health('triggers_off', 'calls'), '0 triggers ok', 'the triggers are on');
SELECT is(pg_temp.health('verify_age'), 'seconds look', 'nobody has verified yet');
SELECT is(pg_temp.health('reconcile_age'), 'seconds look', 'nor swept');
SELECT is_empty($$SELECT * FROM usage_health WHERE hint = '' OR unit = '' OR is_ok IS NULL$$, 'each figure has its unit and a hint');

SELECT lives_ok('SELECT * FROM run_verify()', 'verified');
SELECT is(pg_temp.health('verify_age') LIKE '% seconds ok', true, 'it is remembered');
SELECT is(pg_temp.health('verify_found'), '0 violations ok', 'with its result');
SELECT is(pg_temp.health('verify_window_found'), 'violations ok', 'apart from that of some days');
SELECT lives_ok($$SELECT * FROM reconcile('2025-11-01', '2025-11-30')$$, 'swept');
SELECT is(pg_temp.health('reconcile_found'), '0 records ok', 'it is remembered as well');
SELECT results_eq(
    $$SELECT from_date, to_date FROM task_runs WHERE task = 'reconcile'$$, $$VALUES ('2025-11-01'::date, '2025-11-30'::date)$$, 'with its days');

INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
VALUES (1, 999, 'CA1', 'completed', '2025-11-14 10:00:00+00', 60), (2, 7, 'CA2', 'completed', '2025-11-14 10:00:00+00', 60);
SELECT is(pg_temp.health('unrated'), '1 rows look', 'what is set aside is counted');
SELECT is(pg_temp.health('deltas_waiting'), '1 rows ok', 'and what waits to be merged');
SELECT lives_ok($$SELECT * FROM run_verify('2025-11-01', '2025-11-30')$$, 'verified again, for some days');
SELECT is(pg_temp.health('verify_window_found') || ', ' || pg_temp.health('verify_found'), '1 violations look, 0 violations ok', 'each result is kept');
UPDATE unrated_usage SET first_seen_at = now() - interval '25 hours';
SELECT is(pg_temp.health('unrated_age'), '90000 seconds look', 'its age shows');

-- Announced by NOTIFY.
SELECT is(announce_unrated(), 1::bigint, 'what is set aside is announced');
SELECT is(announce_unrated(), 0::bigint, 'once');
UPDATE calls SET tenant_id = 998 WHERE id = 1;
SELECT is(announce_unrated(), 0::bigint, 'also when it fails again');
INSERT INTO tenants (id) VALUES (998);
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (3, 997, 'completed', '2025-11-14 10:00:00+00', 60);
SELECT is((SELECT done FROM maintain() WHERE task = 'unrated rows announced'), 1::bigint, 'maintain() announces what it could not settle');
SELECT is((SELECT count(*) FROM unrated_usage WHERE announced_at IS NOT NULL), 2::bigint, 'and nothing else');
DELETE FROM calls WHERE id = 3;
SELECT lives_ok($$SELECT dismiss_unrated(id, 'a test') FROM unrated_usage WHERE resolved_at IS NULL$$, 'dismissed');

-- Triggers.
ALTER TABLE calls DISABLE TRIGGER billing_meter_update;
SELECT is(pg_temp.health('triggers_off', 'calls') || ', ' || pg_temp.health('triggers_off', 'messages'), '1 triggers look, 0 triggers ok', 'a trigger that is off shows');
ALTER TABLE calls ENABLE REPLICA TRIGGER billing_meter_update;
SELECT results_eq('SELECT * FROM list_trigger_gaps()', $$VALUES ('calls', 'calls', 'billing_meter_update', 'on replicas only')$$, 'as does one for replicas only');
ALTER TABLE calls ENABLE ALWAYS TRIGGER billing_meter_update;
SELECT is(pg_temp.health('triggers_off', 'calls'), '0 triggers ok', 'one that is always on is on');
DROP TRIGGER billing_meter_insert ON calls;
SELECT results_eq('SELECT * FROM list_trigger_gaps()', $$VALUES ('calls', 'calls', 'billing_meter_insert', 'missing')$$, 'one that is gone shows');
SELECT lives_ok($$SELECT meter_table('public.calls', 'billing.measure_call', 'call_sid')$$, 'metered again');
CREATE TABLE public.call_log (
    id bigint NOT NULL, tenant_id bigint, direction text, status text, initiated_at timestamptz, duration_seconds numeric
) PARTITION BY RANGE (initiated_at);
CREATE TABLE public.call_log_2025_11 PARTITION OF public.call_log FOR VALUES FROM ('2025-11-01 00:00:00+00') TO ('2025-12-01 00:00:00+00');
SELECT meter_table('public.call_log', 'billing.measure_call');
SELECT is_empty('SELECT * FROM list_trigger_gaps()', 'a partitioned table has its triggers');
ALTER TABLE call_log_2025_11 DISABLE TRIGGER billing_meter_insert;
SELECT results_eq('SELECT * FROM list_trigger_gaps()', $$VALUES ('call_log', 'call_log_2025_11', 'billing_meter_insert', 'disabled')$$, 'and each partition them');
DROP TABLE public.call_log;
SELECT is(pg_temp.health('triggers_off', 'call_log'), '2 triggers look', 'a metered table that was dropped shows');
SELECT lives_ok($$SELECT * FROM reconcile('2025-11-01', '2025-11-30')$$, 'and stops neither the sweep');
SELECT is_empty('SELECT * FROM verify()', 'nor verify()');
DELETE FROM metered_tables WHERE source_table = 'call_log';

-- The partitions.
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds) VALUES (4, 7, 'completed', '2023-01-14 10:00:00+00', 60);
SELECT is(pg_temp.health('default_partition') LIKE '% rows look', true, 'usage in the default partition shows');
SELECT lives_ok('SELECT * FROM maintain()', 'maintain()');
SELECT is(pg_temp.health('default_partition'), '0 rows ok', 'moves it out');
SELECT detach_month('2023-01-01');
SELECT is(pg_temp.health('detached_months'), '1 months ok', 'a detached month is counted');
SELECT attach_month('2023-01-01');

-- What to do.
SELECT is_empty($$SELECT * FROM verify_checks WHERE promise = '' OR what_to_do = ''$$, 'each check says what to do');
SELECT set_eq(
    'SELECT check_name FROM verify_checks',
    $$SELECT m[1] FROM unnest('{verify,verify_records,verify_invoices,verify_seals,verify_seal_head}'::regproc[]) AS f
      CROSS JOIN regexp_matches(pg_get_functiondef(f), 'SELECT\s+(?:--[^\n]*\s+)?''([a-z1, ]+)''', 'g') AS m$$,
    'and there is an entry for each check of verify()');
INSERT INTO usage_sums (tenant_id, summary_date, channel, resource_type, total_quantity, total_cost, record_count)
VALUES (7, '2025-12-24', 'voice', 'minute', 1, 1, 1);
SELECT results_eq(
    $$SELECT check_name FROM verify('2025-12-24', '2025-12-24')$$, $$VALUES ('summaries equal records')$$, 'a sum without records is found on its day');
SELECT is_empty($$SELECT check_name FROM verify('2025-12-25', '2025-12-25')$$, 'and not on others');
SELECT * FROM finish();
ROLLBACK;
