-- A rate deck is put in force whole or not at all, from an instant on, and what it changes can be seen before and after.
BEGIN;
SELECT plan(56);
\ir fixtures/tenants.sql

-- Lines as the command line sends them: "prefix price", numbered from 2 on; more fields as JSON.
CREATE FUNCTION pg_temp.deck(VARIADIC p_lines text[])
RETURNS jsonb
LANGUAGE sql
AS $$
    SELECT jsonb_agg(
        jsonb_build_object('line', n + 1, 'prefix', split_part(l, ' ', 1), 'unit_price', split_part(l, ' ', 2))
            || COALESCE(NULLIF(split_part(l, ' ', 3), '')::jsonb, '{}')
        ORDER BY n
    )
    FROM unnest(p_lines) WITH ORDINALITY AS u (l, n);
$$;
-- What an import on the starter plan's card did: "added 2, ended 1".
CREATE FUNCTION pg_temp.import(p_lines jsonb, p_at timestamptz, p_keep boolean DEFAULT false, p_replace boolean DEFAULT false, p_skip boolean DEFAULT false)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(action || ' ' || n, ', ' ORDER BY action)
    FROM (
        SELECT action, count(*) AS n
        FROM billing.import_deck(
            p_lines, 'plan:starter', 'voice', 'minute', p_at,
            p_keep_missing => p_keep, p_replace_future => p_replace, p_skip_bad => p_skip
        )
        GROUP BY action
    ) AS d;
$$;
-- The starter card at an instant: "44 0.02, 447 0.05".
CREATE FUNCTION pg_temp.card(p_at timestamptz)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(prefix || ' ' || trim_scale(unit_price), ', ' ORDER BY prefix)
    FROM billing.list_rates('plan:starter', 'voice', 'minute', '', p_at);
$$;
-- Why a line is rejected; NULL: it is not.
CREATE FUNCTION pg_temp.fault(p_line jsonb)
RETURNS text
LANGUAGE sql
AS $$
    SELECT problem FROM billing.read_deck(jsonb_build_array('{"line": 2, "prefix": "44", "unit_price": "1"}' || p_line), p_international_prefix => '00');
$$;
CREATE FUNCTION pg_temp.prefix(p_prefix text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT prefix FROM billing.read_deck(jsonb_build_array(jsonb_build_object('line', 2, 'prefix', p_prefix, 'unit_price', '1')), p_international_prefix => '00')
    WHERE problem IS NULL;
$$;

-- Lines.
SELECT is(pg_temp.prefix('+44 20-7'), '44207', 'a prefix with +, spaces and dashes is its digits');
SELECT is(pg_temp.prefix('0044'), '44', 'the international prefix is taken off');
SELECT is(pg_temp.prefix('+0044'), '0044', 'not after a +');
SELECT is(pg_temp.prefix('*'), '', 'a star is every destination');
SELECT is(pg_temp.prefix('''44'), '44', 'the apostrophe of a spreadsheet is no part of a prefix');
SELECT is(pg_temp.fault('{"prefix": ""}'), 'prefix is missing (* is every destination)', 'an empty prefix is missing, not every destination');
SELECT is(pg_temp.fault('{"prefix": "4470-4479"}'), 'a range and not a prefix: 4470-4479', 'a range is not read as a long prefix');
SELECT is(pg_temp.fault('{"prefix": "1-684"}'), NULL, 'while a dash within a prefix is no harm');
SELECT is(pg_temp.fault('{"prefix": "44x"}'), 'malformed prefix: 44x', 'letters are malformed');
SELECT is(pg_temp.fault('{"prefix": "44.0"}'), 'malformed prefix: 44.0', 'so is a number that a spreadsheet has made of it');
SELECT is(pg_temp.fault('{"prefix": "4.47E+11"}'), 'malformed prefix: 4.47E+11', 'or an exponent');
SELECT is(pg_temp.fault('{"prefix": "00"}'), 'malformed prefix: 00', 'or an international prefix alone');
SELECT is(pg_temp.fault('{"prefix": "٤٤"}'), 'malformed prefix: ٤٤', 'or digits of another script');
SELECT is(pg_temp.fault('{"prefix": "123456789012345678901"}'), 'prefix is longer than 20 digits: 123456789012345678901', '21 digits are too many');
SELECT is(pg_temp.fault('{"prefix": "44", "unit_price": ""}'), 'unit_price is missing', 'a price is needed');
SELECT is(pg_temp.fault('{"unit_price": "abc"}'), 'unit_price is not a number: abc', 'and has to be a number');
SELECT is(pg_temp.fault('{"unit_price": "0,02"}'), 'unit_price is not a number: 0,02', 'with a point');
SELECT is(pg_temp.fault('{"unit_price": "-0.02"}'), 'unit_price is negative: -0.02', 'not negative');
SELECT is(pg_temp.fault('{"unit_price": "NaN"}'), 'unit_price is not finite: NaN', 'not NaN');
SELECT is(pg_temp.fault('{"unit_price": "Infinity"}'), 'unit_price is not finite: Infinity', 'not infinite');
SELECT is(pg_temp.fault('{"unit_price": "0.000000000000000000001"}'), 'unit_price has more than 20 decimals: 0.000000000000000000001', 'of 20 decimals at most');
SELECT is(pg_temp.fault('{"unit_price": "0.020000000000000000000000"}'), NULL, 'not counting zeros at the end');
SELECT is(pg_temp.fault('{"billing_increment": "86401"}'), 'billing_increment is over 86400 s: 86401', 'an increment is a day at most');
SELECT is(pg_temp.fault('{"prefix": "x", "unit_price": "y"}'), 'malformed prefix: x; unit_price is not a number: y', 'all that is wrong is said');
SELECT is(pg_temp.fault('{"problem": "3 columns"}'), '3 columns', 'what the reader of the file found comes first');
SELECT is(
    (SELECT unit_price FROM billing.read_deck(pg_temp.deck('44 123456789.123456789'), 10000)),
    12345.6789123456789,
    'a divisor divides exactly'
);
SELECT is(
    (SELECT problem FROM billing.read_deck(pg_temp.deck('44 1'), 3)),
    'unit_price has more than 20 decimals: 1',
    'or not at all'
);
SELECT results_eq(
    $$SELECT initial_increment, billing_increment FROM billing.read_deck(pg_temp.deck('44 1 {"billing_increment":"60/6"}'))$$,
    'VALUES (60::numeric, 6::numeric)',
    'both increments may be in one field'
);
SELECT results_eq(
    $$SELECT line, problem FROM billing.read_deck(pg_temp.deck('44 1', '45 1', '+44 2', '4-4 3')) ORDER BY line$$,
    $$VALUES (2, 'the same prefix as on line 4'), (3, NULL), (4, 'the same prefix as on line 2'), (5, 'the same prefix as on line 2')$$,
    'a prefix that is there twice is rejected each time'
);

-- Importing.
SELECT is(pg_temp.import(pg_temp.deck('44 0.02', '447 0.05', '* 0.1'), '2025-01-01 00:00+00'), 'added 3', 'a first deck is added');
SELECT is(pg_temp.card('2025-01-01 00:00+00'), ' 0.1, 44 0.02, 447 0.05', 'and holds from its instant on');
SELECT is(pg_temp.card('2024-12-31 23:59:59+00'), NULL, 'not before');
SELECT is(pg_temp.import(pg_temp.deck('44 0.020', '447 5e-2', '* 0.1'), '2025-01-01 00:00+00'), 'unchanged 3', 'the same deck again changes nothing');
SELECT is(pg_temp.import(pg_temp.deck('44 0.020', '447 5e-2', '* 0.1'), '2025-03-01 00:00+00'), 'unchanged 3', 'nor does it later');
SELECT is((SELECT count(*) FROM pricing_rates WHERE plan_id = 2), 3::bigint, 'no row is written for it');
SELECT is(
    pg_temp.import(pg_temp.deck('44 0.03', '447 0.05', '49 0.01'), '2025-06-01 00:00+00'),
    'added 1, changed 1, ended 1, unchanged 1', 'a next deck adds, changes, ends and leaves alone');
SELECT is(pg_temp.card('2025-06-01 00:00+00'), '44 0.03, 447 0.05, 49 0.01', 'it is the whole card from then on');
SELECT is(pg_temp.card('2025-05-31 23:59:59.999999+00'), ' 0.1, 44 0.02, 447 0.05', 'and the old one holds to the last instant before');
SELECT is(
    (SELECT unit_cost FROM billing.quote(9, 'voice', 'minute', 1, '+4420', '2025-06-01 00:00+00')), 0.03, 'calls are rated by it');
SELECT is(pg_temp.import(pg_temp.deck('33 0.04'), '2025-07-01 00:00+00', p_keep => true), 'added 1', 'on demand what a deck leaves out stays');
SELECT is(pg_temp.card('2025-07-01 00:00+00'), '33 0.04, 44 0.03, 447 0.05, 49 0.01', 'beside what it brings');
SELECT results_eq(
    $$SELECT action, prefix, reason FROM billing.compare_deck(
        pg_temp.deck('33 0.04 {"billing_increment":"60/60","connection_fee":"0.1"}'), 'plan:starter', 'voice', 'minute', '2025-08-01 00:00+00', p_keep_missing => true)$$,
    $$VALUES ('changed', '33', 'connection_fee 0 to 0.1; increments 1/1 to 60/60')$$,
    'a change is told term by term');

-- Bad lines.
SELECT throws_ok($$SELECT pg_temp.import(pg_temp.deck('44 x', '447 0.06', '49 0.02'), '2025-08-01 00:00+00')$$, 'UB005', NULL, 'a bad line refuses the deck');
SELECT is(pg_temp.card('2025-08-01 00:00+00'), '33 0.04, 44 0.03, 447 0.05, 49 0.01', 'and nothing is written');
SELECT is(
    pg_temp.import(pg_temp.deck('44 x', '447 0.06'), '2025-08-01 00:00+00', p_skip => true),
    'changed 1, ended 2, rejected 1', 'unless bad lines are to be skipped');
SELECT is(pg_temp.card('2025-08-01 00:00+00'), '44 0.03, 447 0.06', 'what a bad line names stays as it is');

-- Prices entered ahead.
SELECT is(pg_temp.import(pg_temp.deck('44 0.5', '447 0.06'), now() + interval '60 days'), 'changed 1, unchanged 1', 'a price may be entered ahead');
SELECT throws_ok(
    $$SELECT pg_temp.import(pg_temp.deck('44 0.4', '447 0.06'), now() + interval '30 days')$$, 'UB010', NULL,
    'a deck that such a price would end unsaid is refused');
SELECT is(
    pg_temp.import(pg_temp.deck('44 0.4', '447 0.06'), now() + interval '30 days', p_replace => true),
    'changed 1, unchanged 1, withdrawn 1', 'or the price is withdrawn');
SELECT is(pg_temp.card(now() + interval '90 days'), '44 0.4, 447 0.06', 'and the deck holds on');
SELECT is(
    pg_temp.import(pg_temp.deck('44 0.45', '447 0.06'), now() + interval '30 days', p_replace => true),
    'changed 1, unchanged 1', 'a deck that has not begun can be replaced at its own instant');
SELECT throws_ok(
    $$SELECT pg_temp.import(pg_temp.deck('44 0.9', '447 0.9'), '2025-08-01 00:00+00', p_replace => true)$$, 'UB010', NULL,
    'one that has begun cannot');

-- Between two instants, and in between.
SELECT results_eq(
    $$SELECT action, prefix, old_price, new_price FROM billing.diff_rates('plan:starter', '2025-01-01 00:00+00', '2025-06-01 00:00+00')$$,
    $$VALUES ('ended', '', 0.1, NULL), ('changed', '44', 0.02, 0.03), ('added', '49', NULL, 0.01)$$,
    'two instants are compared');
SELECT results_eq(
    $$SELECT prefix, gap_from, gap_until, steps_in FROM billing.find_rate_gaps('plan:starter') WHERE prefix = '49'$$,
    $$VALUES ('49', '2025-08-01 00:00+00'::timestamptz, NULL::timestamptz, NULL::text)$$,
    'a price that has ended for good leaves a gap without end');
INSERT INTO pricing_rates (plan_id, channel, resource_type, prefix, unit_price, effective_from, effective_until) VALUES
    (3, 'voice', 'minute', '4', 0.01, '2025-03-01 00:00+00', '2025-05-01 00:00+00'),
    (3, 'voice', 'minute', '447', 0.01, '2025-01-01 00:00+00', '2025-02-01 00:00+00'),
    (3, 'voice', 'minute', '447', 0.01, '2025-04-01 00:00+00', NULL);
SELECT results_eq(
    $$SELECT prefix, gap_from, gap_until, steps_in FROM billing.find_rate_gaps('plan:professional') WHERE prefix = '447'$$,
    $$VALUES
        ('447', '2025-02-01 00:00+00'::timestamptz, '2025-03-01 00:00+00'::timestamptz, NULL),
        ('447', '2025-03-01 00:00+00', '2025-04-01 00:00+00', '4')$$,
    'a gap says what steps in, and when that changes');
SELECT throws_ok($$SELECT billing.find_card('plan:none')$$, 'UB002', NULL, 'an unknown plan has no card');

SELECT * FROM finish();
ROLLBACK;
