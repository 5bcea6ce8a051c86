-- Billing periods follow the tenant's cycle day and zone, without a gap or an overlap.
BEGIN;
SELECT plan(37);

INSERT INTO tenants (id, company_name, billing_cycle_day, timezone)
VALUES
    (1, 'First', 1, 'UTC'), (15, 'Middle', 15, 'UTC'), (29, 'Leap', 29, 'UTC'), (30, 'Thirtieth', 30, 'UTC'), (31, 'Last', 31, 'UTC'),
    (101, 'Tokyo', 1, 'Asia/Tokyo'), (102, 'New York', 1, 'America/New_York'), (103, 'Kiritimati', 31, 'Pacific/Kiritimati');

SELECT results_eq(
    format('SELECT * FROM get_billing_period(%s, %L)', tenant_id, as_of),
    format('VALUES (%L::date, %L::date)', first_day, last_day),
    format('cycle day %s: %s lies in %s to %s', tenant_id, as_of, first_day, last_day))
FROM (VALUES
    (1, '2025-11-01 00:00:00+00', '2025-11-01', '2025-11-30'),
    (1, '2025-11-30 23:59:59+00', '2025-11-01', '2025-11-30'),
    (1, '2024-02-29 12:00:00+00', '2024-02-01', '2024-02-29'),
    (15, '2025-11-14 12:00:00+00', '2025-10-15', '2025-11-14'),
    (15, '2025-11-15 12:00:00+00', '2025-11-15', '2025-12-14'),
    (15, '2026-01-01 12:00:00+00', '2025-12-15', '2026-01-14'),
    (29, '2025-02-27 12:00:00+00', '2025-01-29', '2025-02-27'),
    (29, '2025-02-28 12:00:00+00', '2025-02-28', '2025-03-28'),
    (29, '2024-02-28 12:00:00+00', '2024-01-29', '2024-02-28'),
    (29, '2024-02-29 12:00:00+00', '2024-02-29', '2024-03-28'),
    (30, '2025-02-28 12:00:00+00', '2025-02-28', '2025-03-29'),
    (30, '2024-02-29 12:00:00+00', '2024-02-29', '2024-03-29'),
    (31, '2025-01-31 12:00:00+00', '2025-01-31', '2025-02-27'),
    (31, '2025-03-30 12:00:00+00', '2025-02-28', '2025-03-30'),
    (31, '2024-02-29 12:00:00+00', '2024-02-29', '2024-03-30'),
    (31, '2025-04-30 12:00:00+00', '2025-04-30', '2025-05-30'),
    (31, '2025-12-31 12:00:00+00', '2025-12-31', '2026-01-30'),
    (31, '2100-02-28 12:00:00+00', '2100-02-28', '2100-03-30')
) AS example (tenant_id, as_of, first_day, last_day);

SELECT results_eq(
    format('SELECT period_start FROM get_billing_period(%s, %L)', tenant_id, as_of), format('VALUES (%L::date)', first_day), name)
FROM (VALUES
    (101, '2025-10-31 14:59:59+00', '2025-10-01', 'the last second of October in Tokyo'),
    (101, '2025-10-31 15:00:00+00', '2025-11-01', 'November has begun in Tokyo'),
    (102, '2025-11-01 03:59:59+00', '2025-10-01', 'October has not ended in New York'),
    (102, '2025-11-01 04:00:00+00', '2025-11-01', 'November has begun in New York'),
    (103, '2025-10-30 10:00:00+00', '2025-10-31', 'the last of October has begun in Kiritimati')
) AS example (tenant_id, as_of, first_day, name);
SET LOCAL TimeZone = 'America/Los_Angeles';
SELECT results_eq(
    $$SELECT * FROM get_billing_period(1, '2025-11-01 00:00:00+00')$$, $$VALUES ('2025-11-01'::date, '2025-11-30'::date)$$,
    'the session''s zone does not matter');
RESET TimeZone;

-- Every day of more than ten years, for every kind of cycle day.
CREATE TEMPORARY TABLE days AS
SELECT t.id AS tenant_id, t.billing_cycle_day, d::date AS day, p.period_start, p.period_end
FROM tenants AS t
CROSS JOIN generate_series('2019-12-01'::timestamp, '2031-03-01', '1 day') AS d
CROSS JOIN LATERAL get_billing_period(t.id, d AT TIME ZONE t.timezone) AS p;
SELECT is((SELECT count(*) FROM days), 8 * 4109::bigint, 'every day of more than ten years lies in a period');
SELECT is_empty('SELECT * FROM days WHERE (day BETWEEN period_start AND period_end) IS NOT TRUE', 'of its own');
SELECT is_empty(
    $$SELECT * FROM (
        SELECT *, lead(period_start) OVER (PARTITION BY tenant_id ORDER BY period_start) AS next_start
        FROM (SELECT DISTINCT tenant_id, period_start, period_end FROM days) AS periods
      ) AS periods
      WHERE next_start <> period_end + 1$$,
    'each period begins the day after the one before it ends');
SELECT is_empty(
    $$SELECT * FROM days
      WHERE extract(day FROM period_start)
          <> LEAST(billing_cycle_day, extract(day FROM date_trunc('month', period_start) + interval '1 month - 1 day'))$$,
    'and on the cycle day, or on the last day of a shorter month');

SELECT throws_ok('SELECT * FROM get_billing_period(999)', 'UB002', NULL, 'the period of an unknown tenant is UB002');
SELECT throws_ok('INSERT INTO tenants (billing_cycle_day) VALUES (' || day || ')', '23514', NULL, 'a cycle day of ' || day || ' is refused')
FROM unnest('{0, 32, -1}'::int[]) AS day;
SELECT throws_ok($$INSERT INTO tenants (timezone) VALUES ('Middle/Earth')$$, '22023', NULL, 'so is a zone that is none');

-- The usage of a period is that of its days.
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
VALUES
    (1, 31, 'completed', '2025-02-27 23:59:59+00', 60), (2, 31, 'completed', '2025-02-28 00:00:00+00', 120),
    (3, 31, 'completed', '2025-03-30 23:59:59+00', 240), (4, 31, 'completed', '2025-03-31 00:00:00+00', 480);
SELECT results_eq(
    format('SELECT total_quantity, record_count FROM get_current_period_usage(31, %L)', as_of),
    format('VALUES (%s::numeric, %s::bigint)', minutes, records), 'the period that holds ' || as_of || ' has ' || minutes || ' minutes')
FROM (VALUES ('2025-02-01 12:00+00', 1, 1), ('2025-03-15 12:00+00', 6, 2), ('2025-04-01 12:00+00', 8, 1)) AS example (as_of, minutes, records);

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
