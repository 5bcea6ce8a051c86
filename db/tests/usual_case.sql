-- The usual row goes straight to its price and its record: no other function that prices or records is asked.
BEGIN;
SELECT plan(47);
\ir fixtures/tenants.sql
\ir fixtures/story.sql
\ir fixtures/prices.sql

CREATE OR REPLACE FUNCTION billing.record_first_charges(p_source_table text, p_measured measurement[]) RETURNS integer
LANGUAGE plpgsql AS $$ BEGIN RAISE 'not the usual way' USING ERRCODE = 'UBXXX'; END $$;
CREATE OR REPLACE FUNCTION billing.record_difference(
    p_source_table text, p_source_id bigint, p_deserved measurement[], p_before measurement[] DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql AS $$ BEGIN RAISE 'not the usual way' USING ERRCODE = 'UBXXX'; END $$;

CREATE FUNCTION pg_temp.first(
    p_id bigint, p_to text DEFAULT NULL, p_at text DEFAULT '2025-11-14 10:00:00+00', p_measured numeric DEFAULT 60, p_tenant_id bigint DEFAULT 7,
    p_channel text DEFAULT 'voice', p_type text DEFAULT 'minute', p_resource text DEFAULT 'R'
)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM billing.record_first_charge(
        'calls', p_id, 1::smallint, p_tenant_id, p_channel, p_type, p_resource, p_measured, p_to, p_at::timestamptz);
    RETURN (
        SELECT concat_ws(' ', trim_scale(unit_cost), trim_scale(billed_quantity), trim_scale(total_cost), usage_date)
        FROM billing.usage_records
        WHERE source_id = p_id
    );
END;
$$;

-- What is not plain: increments and a fee, a part of a second, a price of the period.
SELECT is(pg_temp.first(1, '4155', p_measured => 20), '0.06 0.5 0.04 2025-11-14', 'increments and a fee of connection');
SELECT is(pg_temp.first(2, p_measured => 20.6), '0.015 0.35 0.00525 2025-11-14', 'a part of a second is billed whole');
SELECT is(pg_temp.first(3, '4366', p_measured => 90), '0 1.5 0 2025-11-14', 'what a period prices costs nothing by itself');
SELECT results_eq(
    $$SELECT channel, resource_type, summary_date::date, record_count::integer, trim_scale(total_quantity), trim_scale(billed), trim_scale(total_cost),
        rate_id = COALESCE((SELECT id FROM pricing_rates WHERE charge_model = 'volume' AND tenant_id = 7 AND prefix = '43' AND summed.rate_id <> 0), 0)
      FROM (SELECT * FROM usage_deltas WHERE tenant_id = 7) AS summed ORDER BY billed, total_quantity$$,
    $$VALUES ('voice', 'minute', '2025-11-14'::date, 1, trim_scale(20.6 / 60), 21::numeric, 0.00525, true),
        ('voice', 'minute', '2025-11-14'::date, 1, trim_scale(20.0 / 60), 30::numeric, 0.04, true),
        ('voice', 'minute', '2025-11-14'::date, 1, 1.5, 90::numeric, 0::numeric, true)$$,
    'each adds its quantity, billed seconds and cost to the day');
SELECT is((SELECT count(*) FROM usage_deltas WHERE rate_id <> 0), 1::bigint, 'under its rate where the period prices it');

-- What is plain asks nobody.
CREATE OR REPLACE FUNCTION billing.reprice_usage(p_rate_id bigint, p_resource_type text, p_quantity numeric, p_at timestamptz) RETURNS priced_usage
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$ BEGIN RAISE 'not plain' USING ERRCODE = 'UBXXX'; END $$;
SELECT is(pg_temp.first(11, '4420'), '0.1 1 0.1 2025-11-14', 'a price for a prefix');
SELECT is(pg_temp.first(12, '4475'), '0.3 1 0.3 2025-11-14', 'for a longer one');
SELECT is(pg_temp.first(13, '44'), '0.1 1 0.1 2025-11-14', 'for the prefix itself');
SELECT is(pg_temp.first(14, '3311', '2025-10-31 23:59:59+00'), '0.02 1 0.02 2025-10-31', 'the plan''s price of the time before a change');
SELECT is(pg_temp.first(15, '3311', '2025-11-01 00:00:00+00'), '0.04 1 0.04 2025-10-31', 'at the very change, which is a day before in the tenant''s zone');
SELECT is(pg_temp.first(16, '3311', '2025-12-14 10:00:00+00'), '0.08 1 0.08 2025-12-14', 'and after the next');
SELECT is(pg_temp.first(17, '4955'), '0.05 1 0.05 2025-11-14', 'the tenant''s own price');
SELECT is(pg_temp.first(18, '4955', p_tenant_id => 8), '0.06 1 0.06 2025-11-14', 'another tenant''s own');
SELECT is(pg_temp.first(19, '3311', p_tenant_id => 8), '0.7 1 0.7 2025-11-14', 'another plan''s');
SELECT is(pg_temp.first(20, '3955'), '0.015 1 0.015 2025-11-14', 'not one in another currency, but the next card''s');
SELECT is(pg_temp.first(21), '0.015 1 0.015 2025-11-14', 'without a destination that for all');
SELECT is(pg_temp.first(22, p_channel => 'fax', p_type => 'page', p_measured => 90), '0.005 90 0.45 2025-11-14', 'units of another channel and resource');
SELECT is(pg_temp.first(23, p_channel => 'fax'), '0.8 1 0.8 2025-11-14', 'of another channel');
SELECT is(pg_temp.first(24, p_type => 'page'), '0.9 60 54 2025-11-14', 'of another resource');
SELECT is(pg_temp.first(25, '3311', '2025-12-30 23:59:59+00'), '0.08 1 0.08 2025-12-30', 'the old terms until the new');
SELECT is(pg_temp.first(26, '3311', '2025-12-31 00:00:00+00'), '0.7 1 0.7 2025-12-31', 'the new ones, zone and plan, from their instant on');
SELECT is(pg_temp.first(27, '3311', '2026-01-14 20:00:00+00'), '0.7 1 0.7 2026-01-15', 'and then');
SELECT is(pg_temp.first(28, p_measured => 1), '0.015 ' || trim_scale(1.0 / 60) || ' 0.00025 2025-11-14', 'one second');
SELECT is(pg_temp.first(29, p_measured => 2678400), '0.015 44640 669.6 2025-11-14', '31 days of them');
SELECT is(pg_temp.first(30, '4655', p_measured => 1), '0.0000000029 ' || trim_scale(1.0 / 60) || ' 0 2025-11-14', 'rounded once');
SELECT results_eq(
    $$SELECT tenant_id, part::integer, kind::text, revision::integer, source_table, channel, resource_type, resource_id, trim_scale(quantity), trim_scale(seconds),
        currency::text, destination, occurred_at::timestamptz
      FROM usage_records WHERE source_id IN (11, 22) ORDER BY source_id$$,
    $$VALUES (7::bigint, 1, 'charge', 1, 'calls', 'voice', 'minute', 'R', 1::numeric, 60::numeric, 'USD', '4420', '2025-11-14 10:00:00+00'::timestamptz),
        (7, 1, 'charge', 1, 'calls', 'fax', 'page', 'R', 90, NULL, 'USD', NULL, '2025-11-14 10:00:00+00')$$,
    'each with all that was measured');
SELECT results_eq(
    $$SELECT channel, resource_type, rate_id, record_count::integer, trim_scale(total_quantity), trim_scale(billed), trim_scale(total_cost)
      FROM usage_deltas WHERE channel = 'fax' ORDER BY resource_type$$,
    $$VALUES ('fax', 'minute', 0::bigint, 1, 1::numeric, 60::numeric, 0.8), ('fax', 'page', 0, 1, 90, 90, 0.45)$$,
    'and added to its day');

SELECT lives_ok($$SELECT pg_temp.first(31, p_at => NULL), pg_temp.first(32, p_at => NULL)$$, 'rows without a time');
SELECT is(
    (SELECT count(DISTINCT occurred_at) FROM usage_records WHERE source_id IN (31, 32)), 1::bigint, 'are of the time of the statement that recorded them');

-- What is not usual is left to others.
SELECT throws_ok(format('SELECT pg_temp.first(40, p_measured => %L)', measured), 'UBXXX', NULL, measured || ' seconds')
FROM unnest(ARRAY['0', '-1', 'NaN', 'Infinity', '2678401']) AS measured;
SELECT throws_ok('SELECT pg_temp.first(40, p_tenant_id => 999)', 'UBXXX', NULL, 'an unknown tenant');
SELECT throws_ok($$SELECT pg_temp.first(40, p_channel => 'owl')$$, 'UBXXX', NULL, 'no price');
SELECT throws_ok('SELECT pg_temp.first(11)', '23505', NULL, 'a row that is billed already');

-- A resource recorded by hand.
INSERT INTO direct_usage (tenant_id, channel, resource_type, resource_id, record_id, created_at, usage_date)
VALUES (7, 'voice', 'minute', 'hand', 1, now(), '2025-11-14');
SELECT throws_ok($$SELECT pg_temp.first(41, p_resource => 'hand')$$, '23505', NULL, 'one whose resource was recorded by hand');
SELECT lives_ok(format('SELECT pg_temp.first(%s)', arguments), name)
FROM (VALUES
    ($$42, p_resource => 'hand', p_tenant_id => 8$$, 'another tenant''s of that name is another'),
    ($$43, p_resource => 'hand', p_channel => 'fax'$$, 'so is one of another channel'),
    ($$44, p_resource => 'hand', p_type => 'page'$$, 'and of another resource type'),
    ($$45, p_resource => 'hands'$$, 'and another of the channel')
) AS cases (arguments, name);

-- Who reserved something.
CREATE TEMPORARY TABLE settled (tenant_id bigint, resource_ids text[]);
CREATE OR REPLACE FUNCTION billing.settle_reservations(p_tenant_id bigint, p_resource_ids text[]) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN INSERT INTO pg_temp.settled VALUES (p_tenant_id, p_resource_ids); END $$;
UPDATE tenant_terms SET looks_closer = true WHERE tenant_id = 8;
SELECT lives_ok($$SELECT pg_temp.first(51), pg_temp.first(52, p_tenant_id => 8, p_resource => 'S')$$, 'usage of one who reserves, and of one who does not');
SELECT results_eq('TABLE settled', $$VALUES (8::bigint, '{S}'::text[])$$, 'takes the place of what was reserved');

-- Through the trigger: a few rows one by one, and no more of them than eight.
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
SELECT n, 7, 'CA' || n, 'completed', '2025-11-14 10:00:00+00', 60 FROM generate_series(101, 107) AS n;
SELECT is((SELECT count(*) FROM usage_records WHERE source_id BETWEEN 101 AND 107), 7::bigint, 'rows that are inserted go that way');
INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
SELECT n, 7, 'CA' || n, 'in-progress', '2025-11-14 10:00:00+00', 60 FROM generate_series(111, 127) AS n;
UPDATE calls SET status = 'completed' WHERE id BETWEEN 111 AND 117;
SELECT is((SELECT count(*) FROM usage_records WHERE source_id BETWEEN 111 AND 117), 7::bigint, 'and rows that are completed');
UPDATE calls SET hangup_cause = 'x' WHERE id BETWEEN 111 AND 127;
UPDATE calls SET status = 'failed' WHERE id BETWEEN 121 AND 127;
SELECT is_empty('SELECT * FROM unrated_usage', 'what comes to be worth nothing else asks nobody at all');

SELECT * FROM finish();
ROLLBACK;
