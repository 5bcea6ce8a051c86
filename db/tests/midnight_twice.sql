-- A day ends where the next one begins, also where the clock is put back or forward over midnight.
BEGIN;
SELECT plan(10);
\ir fixtures/tenants.sql

SELECT is(billing.start_of_day('2025-11-02', 'America/Havana'), '2025-11-02 04:00:00+00', 'of a midnight that comes twice the first begins the day');
SELECT is(billing.start_of_day('2025-03-30', 'America/Nuuk'), '2025-03-30 01:00:00+00', 'after an hour that is left out, the day begins at midnight');
SELECT is(billing.start_of_day('2011-12-30', 'Pacific/Apia'), '2011-12-30 10:00:00+00', 'a day that is left out begins where the next does');
SELECT is_empty($$
    SELECT z.name, d.day
    FROM (VALUES ('Atlantic/Azores'), ('America/Havana'), ('America/Nuuk'), ('America/Santiago'), ('Asia/Beirut'), ('Africa/Cairo'),
        ('Europe/Berlin'), ('Australia/Lord_Howe'), ('Pacific/Chatham'), ('UTC')) AS z (name)
    CROSS JOIN generate_series('2025-01-01'::timestamp, '2026-12-31', interval '1 day') AS d (day)
    CROSS JOIN LATERAL (SELECT billing.start_of_day(d.day::date, z.name)) AS s (at)
    WHERE (billing.day_in_zone(s.at, z.name), billing.day_in_zone(s.at - interval '1 microsecond', z.name))
        IS DISTINCT FROM (d.day::date, d.day::date - 1)
$$, 'each day of two years begins right after the one before');

-- In the Azores the clock went from 01:00 to 00:00 on 26 October 2025, where this tenant's period begins.
INSERT INTO tenants (id, company_name, plan_id, timezone, billing_cycle_day)
VALUES (70, 'Ilha', (SELECT id FROM pricing_plans WHERE name = 'starter'), 'Atlantic/Azores', 26);
INSERT INTO calls (tenant_id, call_sid, to_number, status, duration_seconds, answered_at)
VALUES (70, 'CA70', '+15559876543', 'completed', 60, '2025-10-25 23:59:59+00'),
    (70, 'CA71', '+15559876543', 'completed', 60, '2025-10-26 00:00:01+00');
SELECT is(
    (SELECT current_usage FROM get_tenant_balance(70, end_of_day(70, '2025-10-25'))), 0.015,
    'the balance of a day leaves out what is used in the first of two hours after midnight'
);
CREATE TEMPORARY TABLE draft AS SELECT generate_invoice(70, '2025-09-26') AS id;
SELECT results_eq(
    $$SELECT l.kind, l.description, l.amount FROM draft AS d CROSS JOIN LATERAL get_invoice_lines(d.id) AS l$$,
    $$VALUES ('plan_fee', 'Starter Plan, monthly fee', 29::numeric), ('usage', 'Voice Calls - 1 minute', 0.02)$$,
    'a period that ends there is billed its fee, and not a day more'
);
CREATE TEMPORARY TABLE granted AS SELECT grant_included_credits(70, '2025-10-01') AS amount;
INSERT INTO granted SELECT grant_included_credits(70, '2025-10-26 00:30:00+00');
SELECT results_eq(
    $$SELECT amount, valid_from, expires_at FROM credit_entries WHERE tenant_id = 70 ORDER BY id$$,
    $$VALUES (10::numeric, '2025-09-26 00:00:00+00'::timestamptz, '2025-10-26 00:00:00+00'::timestamptz),
        (10, '2025-10-26 00:00:00+00', '2025-11-26 01:00:00+00')$$,
    'the credit of a period lapses where that of the next begins'
);
SELECT is((SELECT sum(amount) FROM simulate_plan(70, 'starter', '2025-09-26', '2025-09-26')), 29.02, 'its plan simulated comes to the same');
SELECT finalize_invoice(id) FROM draft \g /dev/null
SELECT results_eq(
    $$SELECT l.amount FROM draft AS d CROSS JOIN LATERAL get_invoice_lines(d.id) AS l WHERE l.kind = 'credit'$$, $$VALUES (-0.01)$$,
    'and pays for the usage of its last hour'
);

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
