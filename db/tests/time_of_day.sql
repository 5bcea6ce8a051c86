-- By time of day: a call is cut where its calendar's band changes, and each part is billed as its band says.
BEGIN;
SELECT plan(81);
\ir fixtures/tenants.sql

-- A German business calendar, with Whit Monday 2022 as a holiday and no band between 06:00 and 08:00.
INSERT INTO calendars (id, name, timezone) VALUES (1, 'german-business', 'Europe/Berlin');
INSERT INTO calendar_bands (calendar_id, band, weekday, from_time, until_time)
SELECT 1, band, weekday, from_time, until_time
FROM (VALUES
    (1, 5, 'off-peak', '00:00'::time, '06:00'::time),
    (1, 5, 'peak', '08:00', '20:00'),
    (1, 5, 'off-peak', '20:00', '24:00'),
    (6, 7, 'weekend', '00:00', '24:00')
) AS b (first_day, last_day, band, from_time, until_time)
CROSS JOIN LATERAL generate_series(first_day, last_day) AS weekday;
INSERT INTO calendar_holidays (calendar_id, holiday, description) VALUES (1, '2022-06-06', 'Pfingstmontag');

-- The parts of a call, in one line: band, begin on the calendar's clock, seconds.
CREATE FUNCTION pg_temp.parts(p_from text, p_seconds numeric, p_calendar_id bigint DEFAULT 1)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(
        format('%s %s %s', COALESCE(s.band, 'none'), to_char(s.starts_at AT TIME ZONE c.timezone, 'DD HH24:MI:SS'), trim_scale(s.seconds)),
        ', ' ORDER BY s.part)
    FROM billing.calendars AS c
    CROSS JOIN LATERAL billing.split_by_band(c.id, p_from::timestamp AT TIME ZONE c.timezone, p_seconds) AS s
    WHERE c.id = p_calendar_id;
$$;

-- Parts.
SELECT is(pg_temp.parts('2022-05-04 10:00', 300), 'peak 04 10:00:00 300', 'a call within one band is one part');
SELECT is(pg_temp.parts('2022-05-04 19:58:30', 300), 'peak 04 19:58:30 90, off-peak 04 20:00:00 210', 'one that crosses 20:00 is two');
SELECT is(pg_temp.parts('2022-05-04 19:58:30', 90), 'peak 04 19:58:30 90', 'one that ends at 20:00 is one');
SELECT is(pg_temp.parts('2022-05-04 20:00', 90), 'off-peak 04 20:00:00 90', 'and so is one that begins then');
SELECT is(pg_temp.parts('2022-05-04 19:59:59.999999', 1), 'peak 04 19:59:59 0.000001, off-peak 04 20:00:00 0.999999', 'cut to the microsecond');
SELECT is(pg_temp.parts('2022-05-04 23:00', 7200), 'off-peak 04 23:00:00 7200', 'a midnight that the band outlasts cuts nothing');
SELECT is(pg_temp.parts('2022-05-05 05:59', 7320), 'off-peak 05 05:59:00 60, none 05 06:00:00 7200, peak 05 08:00:00 60', 'time without a band is a part without one');
SELECT is(pg_temp.parts('2022-05-06 19:00', 3 * 86400),
    'peak 06 19:00:00 3600, off-peak 06 20:00:00 14400, weekend 07 00:00:00 172800, off-peak 09 00:00:00 21600, none 09 06:00:00 7200, peak 09 08:00:00 39600',
    'a call over a weekend has every band once');
SELECT is(pg_temp.parts('2022-06-05 23:59', 86520), 'weekend 05 23:59:00 60, holiday 06 00:00:00 86400, off-peak 07 00:00:00 60',
    'a holiday comes before its weekday, from midnight to midnight');
SELECT is_empty($$SELECT * FROM split_by_band(1, '2022-05-04 10:00:00+02', 0)$$, 'a call of no seconds has no parts');
SELECT results_eq(
    $$SELECT part, band, starts_at, seconds FROM split_by_band(1, '2022-05-04 19:59:59.5+02', 0.50000012345)$$,
    $$VALUES (1, 'peak', '2022-05-04 17:59:59.5+00'::timestamptz, 0.5), (2, 'off-peak', '2022-05-04 18:00:00+00', 0.00000012345)$$,
    'seconds finer than the clock are not lost');
SELECT throws_ok(format($$SELECT * FROM split_by_band(1, '2022-05-04 10:00:00+02', %s)$$, bad), 'UB003', NULL, bad || ' seconds cannot be split')
FROM (VALUES ('-1'), ('NULL'), ('''NaN'''), ('''Infinity'''), ('2678401')) AS example (bad);
SELECT throws_ok($$SELECT * FROM split_by_band(1, 'infinity', 60)$$, 'UB003', NULL, 'nor can a call that begins never');
SELECT throws_ok($$SELECT * FROM split_by_band(2, '2022-05-04 10:00:00+02', 60)$$, 'UB011', NULL, 'an unknown calendar splits nothing');

-- Days of 23 and 25 hours: the clock jumps from 02:00 to 03:00 on March 27, and from 03:00 to 02:00 on October 30.
INSERT INTO calendars (id, name, timezone) VALUES (2, 'nights', 'Europe/Berlin');
INSERT INTO calendar_bands (calendar_id, band, weekday, from_time, until_time)
SELECT 2, band, weekday, from_time, until_time
FROM generate_series(1, 7) AS weekday
CROSS JOIN (VALUES ('early', '00:00'::time, '02:30'::time), ('late', '02:30', '24:00')) AS b (band, from_time, until_time);
SELECT is(pg_temp.parts('2022-03-27 00:00', 82800, 2), 'early 27 00:00:00 7200, late 27 03:00:00 75600',
    'a day of 23 hours has 82800 s, and what the clock skips is in no part');
SELECT is(pg_temp.parts('2022-03-27 00:00', 82801, 2), 'early 27 00:00:00 7200, late 27 03:00:00 75600, early 28 00:00:00 1',
    'the next second is the next day''s');
SELECT is(pg_temp.parts('2022-10-30 00:00', 90000, 2), 'early 30 00:00:00 9000, late 30 02:30:00 1800, early 30 02:00:00 1800, late 30 02:30:00 77400',
    'a day of 25 hours has 90000 s, and 02:30 comes twice');
SELECT is(pg_temp.parts('2022-10-30 00:00', 90001, 2) LIKE '%late 30 02:30:00 77400, early 31 00:00:00 1', true, 'and the second after it is the next day''s');
INSERT INTO calendar_holidays (calendar_id, holiday) VALUES (2, '2022-03-27'), (2, '2022-10-30');
SELECT is(pg_temp.parts('2022-03-26 23:59', 82920, 2), 'late 26 23:59:00 60, holiday 27 00:00:00 82800, early 28 00:00:00 60', 'a holiday of 23 hours');
SELECT is(pg_temp.parts('2022-10-29 23:59', 90120, 2), 'late 29 23:59:00 60, holiday 30 00:00:00 90000, early 31 00:00:00 60', 'and one of 25 hours');
SELECT is(pg_temp.parts('2022-10-30 12:00', 60), 'weekend 30 12:00:00 60', 'another calendar has its own holidays');
-- Samoa went from Thursday the 29th to Saturday the 31st of December 2011.
INSERT INTO calendars (id, name, timezone) VALUES (3, 'samoa', 'Pacific/Apia');
INSERT INTO calendar_bands VALUES (3, 'thursday', 4, '00:00', '24:00'), (3, 'friday', 5, '00:00', '24:00'), (3, 'saturday', 6, '00:00', '24:00');
SELECT is(pg_temp.parts('2011-12-29 23:00', 7200, 3), 'thursday 29 23:00:00 3600, saturday 31 00:00:00 3600', 'a day that the zone skips has no part');
SET LOCAL timezone = 'America/New_York';
SELECT is(pg_temp.parts('2022-03-13 00:00', 86400), 'weekend 13 00:00:00 86400', 'the clock of the session does not matter');
SET LOCAL timezone = 'UTC';

-- Each part in its band's own increments.
INSERT INTO pricing_rates (
    id, tenant_id, channel, resource_type, prefix, unit_price, initial_increment, billing_increment, connection_fee, effective_from, calendar_id, terms
) VALUES
    (101, 7, 'voice', 'minute', '49', 0.03, 1, 1, 0.01, '2020-01-01', 1, '{"bands": {
        "peak": {"unit_price": 0.06, "initial_increment": 30, "increment": 18, "connection_fee": 0.05},
        "off-peak": {"unit_price": "0.02", "initial_increment": 60, "increment": 60},
        "holiday": {"unit_price": 1e-2}}}'),
    (102, 7, 'sms', 'message', '', 0.01, 60, 60, 0, '2020-01-01', 1, '{"bands": {"peak": {"unit_price": 0.02, "connection_fee": 0.001}}}');
CREATE FUNCTION pg_temp.bills(p_from text, p_quantity numeric, p_rate_id bigint DEFAULT 101)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(
        format('%s %s->%s at %s + %s', COALESCE(b.band, 'none'), trim_scale(b.quantity), trim_scale(b.billed), b.unit_price, b.connection_fee),
        ', ' ORDER BY b.part)
    FROM billing.pricing_rates AS r
    CROSS JOIN LATERAL billing.bill_bands(r, r.resource_type, p_quantity, p_from::timestamp AT TIME ZONE 'Europe/Berlin') AS b
    WHERE r.id = p_rate_id;
$$;
SELECT is(pg_temp.bills('2022-05-04 10:00', 40), 'peak 40->48 at 0.06 + 0.05', '30/18 and 40 s are 48 s');
SELECT is(pg_temp.bills('2022-05-04 22:00', 40), 'off-peak 40->60 at 0.02 + 0.01', 'a band without a fee has the rate''s');
SELECT is(pg_temp.bills('2022-05-04 19:59:20', 101), 'peak 40->48 at 0.06 + 0.05, off-peak 61->120 at 0.02 + 0',
    'a part within a call has its band''s increments, no initial increment and no fee');
SELECT is(pg_temp.bills('2022-05-04 19:59:55', 6), 'peak 5->30 at 0.06 + 0.05, off-peak 1->60 at 0.02 + 0', 'the initial increment is billed for the first part, however short');
SELECT is(pg_temp.bills('2022-05-05 07:59:59.5', 19), 'none 0.5->1 at 0.03 + 0.01, peak 18.5->36 at 0.06 + 0', 'the columns are the price where no band holds');
SELECT is(pg_temp.bills('2022-05-07 12:00', 90), 'weekend 90->90 at 0.03 + 0.01', 'and in a band that the rate does not name');
SELECT is(pg_temp.bills('2022-06-06 12:00', 90), 'holiday 90->90 at 0.01 + 0.01', 'a holiday has its own price');
SELECT is(pg_temp.bills('2022-05-04 19:59:59', 0), NULL, 'nothing is billed for no seconds');
SELECT is(pg_temp.bills('2022-05-04 19:59:59.999999', 3, 102), 'peak 3->3 at 0.02 + 0.001', 'messages are all billed in the band in which they were sent');
SELECT is(pg_temp.bills('2022-05-04 20:00', 3, 102), 'off-peak 3->3 at 0.01 + 0', 'a moment later in the next');
SELECT results_eq(
    $$SELECT billed_seconds, trim_scale(total_cost) FROM quote_call(7, '+4930123', 101, '2022-05-04 19:59:20+02')$$,
    'VALUES (168::numeric, 0.138)', 'and so a call costs: 48 s at 0.06, 120 s at 0.02, and 0.05 once');

-- What a rate may say of bands.
SELECT throws_ok(format(
    $$INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, unit_price, calendar_id, terms) VALUES (8, 'voice', 'minute', '1', 1, %s, %L)$$,
    calendar, terms), 'UB005', NULL, name)
FROM (VALUES
    ('NULL', '{"bands": {"peak": {"unit_price": 1}}}', 'bands without a calendar are refused'),
    ('1', '{}', 'so is a calendar without bands'),
    ('99', '{"bands": {"peak": {"unit_price": 1}}}', 'a calendar that there is not'),
    ('1', '{"bands": {"night": {"unit_price": 1}}}', 'a band that the calendar does not have'),
    ('1', '{"bands": {"peak": {"price": 1}}}', 'a term that no band has'),
    ('1', '{"bands": {"peak": {"minimum_charge": 1}}}', 'a term that is of the whole call'),
    ('1', '{"bands": {"peak": {"increment": 86401}}}', 'an increment of more than a day')
) AS example (calendar, terms, name);
CREATE FUNCTION pg_temp.is_accepted(p_terms jsonb)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM billing.check_bands(1, p_terms);
    RETURN true;
EXCEPTION
    WHEN SQLSTATE 'UB005' THEN
        RETURN false;
END;
$$;
SELECT is_empty(
    $$SELECT bands
      FROM (VALUES ('null'), ('{}'), ('[]'), ('[1]'), ('"peak"'), ('{"peak": 1}'), ('{"peak": null}'), ('{"Peak": {}}'), ('{"": {}}')) AS bads (bands)
      WHERE pg_temp.is_accepted(format('{"bands": %s}', bands)::jsonb)$$,
    'bands are objects by name');
SELECT is_empty(
    $$SELECT term, bad
      FROM (VALUES ('unit_price'), ('initial_increment'), ('increment'), ('connection_fee')) AS terms (term)
      CROSS JOIN (VALUES ('-1'), ('"-0.01"'), ('"NaN"'), ('"Infinity"'), ('"0x10"'), ('"1_000"'), ('""'), ('" 1"'), ('"1,5"'), ('true'),
          ('null'), ('[]'), ('{}'), ('1e-21'), ('"0.000000000000000000001"')) AS bads (bad)
      WHERE pg_temp.is_accepted(format('{"bands": {"peak": {"%s": %s}}}', term, bad)::jsonb)$$,
    'what is no amount is refused in every term');
SELECT is_empty(
    $$SELECT term, good
      FROM (VALUES ('unit_price'), ('initial_increment'), ('increment'), ('connection_fee')) AS terms (term)
      CROSS JOIN (VALUES ('0'), ('86400'), ('"60"'), ('0.5'), ('"1e-3"'), ('1E-20'), ('"0.00000000000000000001"')) AS goods (good)
      WHERE NOT pg_temp.is_accepted(format('{"bands": {"peak": {"%s": %s}, "holiday": {}}}', term, good)::jsonb)$$,
    'numbers and strings of numbers are not');

-- A calendar that no price that has begun refers to changes freely, but for what a coming price names.
INSERT INTO calendars (id, name, timezone) VALUES (4, 'coming', 'Europe/Berlin');
INSERT INTO calendar_bands VALUES (4, 'peak', 1, '08:00', '20:00'), (4, 'peak', 2, '08:00', '20:00'), (4, 'night', 1, '22:00', '24:00');
INSERT INTO pricing_rates (id, tenant_id, channel, resource_type, unit_price, effective_from, calendar_id, terms)
VALUES (104, 8, 'voice', 'minute', 1, now() + interval '1 day', 4, '{"bands": {"peak": {"unit_price": 2}}}');
SELECT lives_ok(statement, name)
FROM (VALUES
    ($$UPDATE calendars SET timezone = 'Europe/Vienna' WHERE id = 4$$, 'before its price begins, a calendar can get another zone'),
    ($$INSERT INTO calendar_bands VALUES (4, 'peak', 3, '08:00', '20:00')$$, 'another band'),
    ($$UPDATE calendar_bands SET until_time = '19:00' WHERE calendar_id = 4 AND weekday = 3$$, 'other times'),
    ($$DELETE FROM calendar_bands WHERE calendar_id = 4 AND (band = 'night' OR weekday = 3)$$, 'less bands'),
    ($$INSERT INTO calendar_holidays VALUES (4, '2022-01-01')$$, 'and holidays of the past'),
    ($$UPDATE calendar_bands SET weekday = weekday + 3 WHERE calendar_id = 4$$, 'a band that the price names can move')
) AS example (statement, name);
SELECT throws_ok($$DELETE FROM calendar_bands WHERE calendar_id = 4$$, 'UB005', NULL, 'but not go');
SELECT throws_ok($$UPDATE calendar_bands SET band = 'day' WHERE calendar_id = 4$$, 'UB005', NULL, 'nor change its name');
SELECT throws_ok($$DELETE FROM calendars WHERE id = 4$$, 'UB005', NULL, 'nor go with its calendar');
SELECT throws_ok($$INSERT INTO calendars (name, timezone) VALUES ('bad', 'Europe/Atlantis')$$, 'UB005', NULL, 'a calendar needs a zone that there is');
SELECT throws_ok($$INSERT INTO calendars (name, timezone) VALUES ('bad', 'CET')$$, 'UB005', NULL, 'by name: the abbreviation CET knows no summer time');
SELECT throws_ok($$UPDATE calendars SET timezone = '+02' WHERE id = 4$$, 'UB005', NULL, 'later too');

-- What a price that has begun refers to is history.
SELECT throws_ok(statement, 'UB013', NULL, name)
FROM (VALUES
    ($$UPDATE calendars SET timezone = 'Europe/Vienna' WHERE id = 1$$, 'once a price has begun, its calendar keeps its zone'),
    ($$DELETE FROM calendars WHERE id = 1$$, 'stays'),
    ($$INSERT INTO calendar_bands VALUES (1, 'peak', 1, '06:00', '08:00')$$, 'gets no band'),
    ($$UPDATE calendar_bands SET until_time = '19:00' WHERE calendar_id = 1 AND band = 'peak'$$, 'has the same times'),
    ($$UPDATE calendar_bands SET calendar_id = 1, from_time = '06:00', until_time = '07:00' WHERE calendar_id = 4$$, 'gets none from another calendar'),
    ($$UPDATE calendar_bands SET calendar_id = 4, weekday = 7 WHERE calendar_id = 1 AND weekday = 6$$, 'and gives none away'),
    ($$DELETE FROM calendar_bands WHERE calendar_id = 1 AND band = 'weekend'$$, 'keeps even what no price names'),
    ($$DELETE FROM calendar_holidays WHERE calendar_id = 1$$, 'keeps the holidays that were'),
    ($$INSERT INTO calendar_holidays VALUES (1, '2022-12-26')$$, 'gets none in the past'),
    ($$INSERT INTO calendar_holidays VALUES (1, (now() AT TIME ZONE 'Europe/Berlin')::date)$$, 'nor for today'),
    ($$UPDATE calendar_holidays SET holiday = '2100-01-01' WHERE calendar_id = 1$$, 'and moves none')
) AS example (statement, name);
SELECT lives_ok(statement, name)
FROM (VALUES
    ($$UPDATE calendars SET name = 'german', description = 'Mon-Fri 8-20' WHERE id = 1$$, 'its name can change'),
    ($$UPDATE calendar_bands SET band = band WHERE calendar_id = 1$$, 'what changes nothing passes'),
    ($$UPDATE calendar_holidays SET description = 'Whit Monday' WHERE calendar_id = 1$$, 'so does the name of a holiday'),
    ($$INSERT INTO calendar_holidays VALUES (1, (now() AT TIME ZONE 'Europe/Berlin')::date + 1)$$, 'a holiday can be entered from tomorrow on'),
    ($$UPDATE calendar_holidays SET holiday = holiday + 7 WHERE calendar_id = 1 AND holiday > '2022-12-31'$$, 'be moved'),
    ($$DELETE FROM calendar_holidays WHERE calendar_id = 1 AND holiday > '2022-12-31'$$, 'and be taken away')
) AS example (statement, name);
INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)
VALUES (1, 7, '+4930', 'completed', '2022-05-04 20:00:00+02', 60);
UPDATE calls SET initiated_at = '2022-05-04 21:00:00+02' WHERE id = 1;
SELECT is((SELECT count(*) FROM usage_records WHERE source_id = 1), 1::bigint, 'a call that moves within its band is the same charge');
UPDATE calls SET initiated_at = '2022-05-04 10:00:00+02' WHERE id = 1;
SELECT is(
    (SELECT trim_scale(sum(total_cost)) FROM usage_records WHERE source_id = 1), 0.116, 'one that moves to another, on the same day and at the same rate, is not');
UPDATE pricing_rates SET effective_until = now() WHERE id IN (101, 102);
SELECT throws_ok($$DELETE FROM calendar_bands WHERE calendar_id = 1$$, 'UB013', NULL, 'a price that has ended is history too');
SELECT lives_ok($$DELETE FROM calendars WHERE id IN (2, 3)$$, 'calendars without prices go');

SELECT * FROM finish();
ROLLBACK;
