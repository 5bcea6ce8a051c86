-- Why a price: rows that a support agent can read, whose amounts add up to what is billed.
BEGIN;
SELECT plan(41);
\ir fixtures/tenants.sql

-- What the row with this subject says.
CREATE FUNCTION pg_temp.why(p_seconds numeric, p_to text, p_subject text, p_at timestamptz DEFAULT '2025-11-14 10:00:00+00')
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat_ws(' | ', detail, amount) FROM billing.explain_quote_call(8, p_to, p_seconds, p_at) WHERE subject = p_subject;
$$;
CREATE FUNCTION pg_temp.why_record(p_record_id bigint, p_subject text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat_ws(' | ', detail, amount) FROM billing.explain_rating(p_record_id) WHERE subject = p_subject;
$$;
-- Whether the amounts above the last row add up to it, and what it is.
CREATE FUNCTION pg_temp.total(p_record_id bigint)
RETURNS numeric
LANGUAGE sql
AS $$
    SELECT CASE WHEN sum(amount) FILTER (WHERE subject <> 'total') = max(amount) FILTER (WHERE subject = 'total')
        THEN max(amount) FILTER (WHERE subject = 'total') END
    FROM billing.explain_rating(p_record_id);
$$;

INSERT INTO calendars (id, name, timezone) VALUES (1, 'Germany', 'Europe/Berlin');
INSERT INTO calendar_bands (calendar_id, band, weekday, from_time, until_time) VALUES (1, 'peak', 5, '08:00', '18:00');
INSERT INTO pricing_rates (
    id, tenant_id, plan_id, channel, resource_type, prefix, unit_price, initial_increment, billing_increment, connection_fee,
    minimum_charge, calendar_id, terms, currency, effective_from, effective_until, description
)
VALUES
    (100, NULL, 3, 'voice', 'minute', '49', 0.0123, 30, 18, 0, 0, NULL, '{}', 'USD', '2020-01-01+00', NULL, 'Germany'),
    (101, NULL, 3, 'voice', 'minute', '4930', 0.0125, 30, 18, 0.05, 0.1, NULL, '{}', 'USD', '2020-01-01+00', NULL, 'Berlin'),
    (102, 8, NULL, 'voice', 'minute', '49', 0.01, 1, 1, 0, 0, NULL, '{}', 'EUR', '2020-01-01+00', NULL, NULL),
    (103, 8, NULL, 'voice', 'minute', '44', 0.01, 1, 1, 0, 0, NULL, '{}', 'USD', '2020-01-01+00', '2025-01-01+00', NULL),
    (104, 8, NULL, 'voice', 'minute', '33', 0.01, 30, 18, 0.05, 0, 1, '{"bands": {"peak": {"unit_price": 0.02}}, "maximum_charge": 0.07}', 'USD', '2020-01-01+00', NULL, NULL);
INSERT INTO pricing_rates (id, tenant_id, channel, resource_type, prefix, charge_model, terms, effective_from)
VALUES
    (105, 8, 'voice', 'minute', '34', 'stepped', '{"connection_fee": 0.05, "steps": [{"from": 0, "unit_price": 0.02, "per": 60, "increment": 60}, {"from": 60, "unit_price": 0.001, "increment": 7}]}', '2020-01-01+00'),
    (106, 8, 'voice', 'minute', '35', 'graduated', '{"tiers": [{"up_to": 2, "unit_price": 0.01, "flat_fee": 1}, {"up_to": null, "unit_price": 0.005}]}', '2020-01-01+00'),
    (107, 8, 'email', 'message', '', 'package', '{"package_size": 1000, "package_price": 1, "free_units": 500}', '2020-01-01+00'),
    (108, 8, 'shop', 'sale', '', 'percentage', '{"rate": 2.9, "fixed_fee": 0.3, "free_events": 1, "minimum": 5}', '2020-01-01+00');

-- A quote, whole.
SELECT results_eq(
    $$SELECT step, subject, detail, amount FROM explain_quote_call(8, '+49 30 123456', 40, '2025-11-14 10:00:00+00')$$,
    $$VALUES
        (1, 'tenant', 'Globex, tenant 8, on plan professional at that time, billed in USD', NULL::numeric),
        (2, 'when', '2025-11-14 10:00:00 UTC; it counts for 2025-11-14', NULL),
        (3, 'what', 'voice/minute, 40 s to 4930123456', NULL),
        (4, 'card tenant:8', 'the price for prefix 49 is in EUR and does not count for a tenant billed in USD', NULL),
        (5, 'card plan:professional', 'prefix 4930 matches; 49 would too, but the longest wins', NULL),
        (6, 'card default', 'not asked, since a card before it has a price', NULL),
        (7, 'rate', 'rate 101 (Berlin), prefix 4930, in force from 2020-01-01 00:00:00 UTC on', NULL),
        (8, 'increments', '30/18: 40 s are billed as 30 + 1 x 18 = 48 s', NULL),
        (9, 'price', '48 s at 0.0125 a minute: 48 x 0.0125 / 60', 0.01),
        (10, 'connection fee', 'once, whatever the quantity', 0.05),
        (11, 'minimum charge', 'a charge is at least 0.1, the above comes to 0.06', 0.04),
        (12, 'rounding', 'to 10 decimals, once, half away from zero: 0.1 stays', 0),
        (13, 'total', 'USD; an invoice line adds such totals up exactly and is rounded once, to the minor unit of the currency', 0.1)$$,
    'a quote says who, when, which cards and prefix, which increments and fees, and how it is rounded'
);

-- Cards and dates.
SELECT is(pg_temp.why(40, '+447', 'card tenant:8'),
    'no price for voice/minute to 447; its price for prefix 44 was not in force then: until 2025-01-01 00:00:00 UTC',
    'a price that has ended is named, with its end');
SELECT is(pg_temp.why(40, '+447', 'card tenant:8', '2019-01-01+00'),
    'no price for voice/minute to 447; its price for prefix 44 was not in force then: from 2020-01-01 00:00:00 UTC',
    'a price to come is named, with its beginning');
SELECT is(pg_temp.why(40, '+447', 'card default'), 'its price for every destination matches', 'the default card comes last');
SELECT is(pg_temp.why(40, '+447', 'rate', '2024-01-01+00'),
    'rate 103, prefix 44, in force from 2020-01-01 00:00:00 UTC until 2025-01-01 00:00:00 UTC', 'a rate is told with both its dates');
SELECT is(
    (SELECT detail FROM explain_quote(8, 'sms', 'message', 3) WHERE subject = 'what'),
    'sms/message, 3; without a destination only prices for every destination match', 'what has no destination says so');
SELECT is(
    (SELECT detail FROM explain_quote(9, 'sms', 'message', 3, NULL, '2025-11-14 20:00+00') WHERE subject = 'when'),
    '2025-11-15 05:00:00 Asia/Tokyo (2025-11-14 20:00:00 UTC); it counts for 2025-11-15', 'the day is that of the tenant''s zone');

-- Seconds that are no whole minute.
SELECT is(pg_temp.why(20, '+1', 'price'), '20 s at 0.015 a minute: 20 x 0.015 / 60 | 0.005', 'seconds stay whole');
SELECT is(pg_temp.why(20.5, '+49', 'increments'), '30/18: 20.5 s are billed as 30 s, the least', 'the initial increment is the least');
SELECT is(pg_temp.why(48, '+49', 'rounding'), 'to 10 decimals, once, half away from zero: 0.00984 stays | 0', 'what ends is shown whole');
SELECT is(pg_temp.why(67, '+49', 'rounding'),
    'to 10 decimals, once, half away from zero: 0.01722 stays | 0', '84 s as well');
UPDATE pricing_rates SET effective_until = '2025-11-15+00' WHERE id = 100;
INSERT INTO pricing_rates (id, plan_id, channel, resource_type, prefix, unit_price, effective_from)
VALUES (109, 3, 'voice', 'minute', '49', 0.0124, '2025-11-15+00');
SELECT is(pg_temp.why(10, '+49', 'rounding', '2025-11-15+00'),
    'to 10 decimals, once, half away from zero: 0.124/60 = 0.00206666666666666666... becomes 0.0020666667 | 0.00000000003333333334',
    'what does not end is shown as a fraction, and what rounding makes of it');
SELECT is(pg_temp.why(0, '+49', 'price'), 'nothing was used, so nothing is charged, no fee and no minimum either | 0', 'nothing costs nothing');

-- Bands, steps.
SELECT is(pg_temp.why(100, '+33', 'band peak', '2025-11-14 16:59:20+00'),
    'from 2025-11-14 17:59:20 Europe/Berlin; increments 30/18: 40 s are billed as 30 + 1 x 18 = 48 s; 48 s at 0.02 a minute | 0.016',
    'a band says from when it holds and what it bills');
SELECT is(pg_temp.why(100, '+33', 'no band', '2025-11-14 16:59:20+00'),
    'from 2025-11-14 18:00:00 Europe/Berlin, at the price for all other times; increments 0/18: 60 s are billed as 4 x 18 = 72 s; 72 s at 0.01 a minute | 0.012',
    'so does the time after it');
SELECT is(pg_temp.why(100, '+33', 'maximum charge', '2025-11-14 16:59:20+00'),
    'a charge is at most 0.07, the above comes to 0.078 | -0.008', 'a maximum says what it takes off');
SELECT is(pg_temp.why(100, '+34', 'step 1'), 'from 0 s on: 60 s at 0.02 for 60 s: 60 x 0.02 / 60 | 0.02', 'a step says what is in it');
SELECT is(pg_temp.why(100, '+34', 'step 2'), 'from 60 s on: 40 s at 0.001 for 1 s, billed as 6 x 7 = 42 s: 42 x 0.001 | 0.042',
    'and rounds up to its own increment');

-- Periods.
SELECT is((SELECT count(*) FROM generate_series(1, 2) AS n, record_usage(8, 'voice', 'minute', 'C' || n, 1.5, '{"to": "+35"}', '2025-11-10+00')), 2::bigint, 'two calls of a period');
SELECT is(pg_temp.why(20, '+35', 'quantity'),
    'with this the period holds 200/60 = 3.33333333333333333333... minutes (records: 3); the rate (graduated) prices all of it together',
    'a price of a period says what the period holds');
SELECT is(pg_temp.why(20, '+35', 'tier 2'), 'above 2, without end: 80/60 = 1.33333333333333333333... at 0.005 each | 0.00666666666666666666', 'each tier what is in it');
SELECT is(pg_temp.why(20, '+35', 'without this'), 'taken off again, what the period costs without this: 3 minutes (records: 2) | -1.025', 'less what it costs without this');
SELECT is(pg_temp.why(20, '+35', 'total'), 'USD, what it adds to the period; the record itself will cost nothing | 0.0016666667', 'what remains is the quote');
SELECT is((SELECT detail FROM explain_quote(8, 'email', 'message', 1501) WHERE subject = 'packages'), '2 of 1000 at 1, begun ones count whole; the first 500 are free', 'packages');
SELECT is((SELECT string_agg(detail || ' = ' || amount, ' + ') FROM explain_quote(8, 'shop', 'sale', 10) WHERE subject IN ('percentage', 'fixed fee', 'minimum')),
    '2.9 % of 10 = 0.29 + 0.3 for each record (0); the first 1 are free = 0 + the period costs at least 5, the above comes to 0.29 = 4.71', 'percentages');

-- Records.
SELECT is(pg_temp.why_record(min(id), 'on the invoice'), 'the period''s whole quantity is charged there, so a record itself costs nothing | -0.01', 'a record of a period says what it adds to it')
FROM usage_records WHERE resource_id = 'C1';
SELECT is(pg_temp.total(min(id)), 0::numeric, 'and costs nothing itself') FROM usage_records WHERE resource_id = 'C1';
INSERT INTO calls (id, tenant_id, call_sid, direction, to_number, status, answered_at, duration_seconds)
VALUES (1, 8, 'CA1', 'outbound', '+4930123456', 'completed', '2025-11-14 10:00:00+00', 40);
UPDATE calls SET duration_seconds = 400 WHERE id = 1;
SELECT results_eq(
    $$SELECT r.kind::text, regexp_replace(regexp_replace(e.detail, ', written [^;]*', ''), '(\w+) [0-9]+', '\1 N', 'g'), pg_temp.total(r.id) = r.total_cost
      FROM usage_records AS r CROSS JOIN LATERAL explain_rating(r.id, 8) AS e
      WHERE r.source_id = 1 AND e.subject = 'record' ORDER BY r.id$$,
    $$VALUES
        ('charge', 'charge N of calls row N (CA1); taken back since by reversal N', true),
        ('reversal', 'reversal N of calls row N (CA1); it takes back what charge N had cost, so every amount here is the other way round', true),
        ('charge', 'charge N of calls row N (CA1); it stands', true)$$,
    'a charge, its reversal and the new charge are told apart, and add up to what they cost');
SELECT is(pg_temp.why_record(min(id), 'connection fee'), 'once, whatever the quantity | -0.05', 'a reversal takes back each amount')
FROM usage_records WHERE source_id = 1 AND kind = 'reversal';
SELECT is(count(*), 0::bigint, 'a price that would be chosen again is no re-rating')
FROM usage_records AS r CROSS JOIN LATERAL explain_rating(r.id) AS e WHERE e.subject = 're-rating';
UPDATE pricing_rates SET effective_until = '2025-06-01+00' WHERE id = 101;
SELECT is(pg_temp.why_record(max(id), 're-rating'),
    'prices or the plan have changed since: by now rate 100 (Germany) would be used. What was charged stands until it is re-rated',
    'a price that would not be chosen again is')
FROM usage_records WHERE source_id = 1;
SELECT is(pg_temp.total(max(id)), (SELECT sum(total_cost) FROM usage_records WHERE source_id = 1), 'what it explains is what was charged')
FROM usage_records WHERE source_id = 1;
SELECT matches(pg_temp.why_record(min(id), 'record'), '^charge [0-9]+ of C1, recorded by hand, written .* UTC; it stands$', 'what was recorded by hand says so')
FROM usage_records WHERE resource_id = 'C1';

-- A tenant that is gone.
DELETE FROM tenants WHERE id = 8;
SELECT is(pg_temp.why_record(max(id), 'tenant'), 'tenant 8, which is deleted, on plan professional at that time, billed in USD', 'records outlive their tenant')
FROM usage_records WHERE source_id = 1;
SELECT is(pg_temp.why_record(min(id), 'period'), 'the rate prices whole billing periods, and those of a deleted tenant are not known', 'its periods are not known any more')
FROM usage_records WHERE resource_id = 'C1';

-- Errors.
SELECT throws_ok('SELECT * FROM explain_rating(0)', 'UB011', NULL, 'there is no such record');
SELECT throws_ok($$SELECT * FROM explain_rating((SELECT max(id) FROM usage_records), 7)$$, 'UB011', NULL, 'nor one of another tenant');
SELECT throws_ok($$SELECT * FROM explain_quote(9, 'fax', 'page', 1)$$, 'UB001', NULL, 'there is no rate');
SELECT throws_ok($$SELECT * FROM explain_quote(99, 'sms', 'message', 1)$$, 'UB002', NULL, 'there is no tenant');
SELECT throws_ok($$SELECT * FROM explain_quote_call(9, '+1', 'NaN')$$, 'UB003', NULL, 'that is no quantity');
SELECT lives_ok(
    $$SELECT explain_charge(jsonb_populate_record(r, '{"charge_model": "stepped", "terms": {}}'), 'minute', 60, '2025-11-14') FROM pricing_rates AS r WHERE r.channel = 'voice' LIMIT 1$$,
    'a price that was never entered may be without steps');

SELECT * FROM finish();
ROLLBACK;
