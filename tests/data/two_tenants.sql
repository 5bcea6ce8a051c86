-- Acme (7) and Globex (8): the same things happened to both. Whatever text of Globex there is says GLOBEX, its numbers begin
-- with 4479000, its own amounts end in 77717771: none of these may ever come to whom only Acme is shown.
INSERT INTO tenants (id, company_name, plan_id, timezone)
VALUES (7, 'ACME', 3, 'Europe/Berlin'), (8, 'GLOBEX', 2, 'Asia/Tokyo');

CREATE TEMPORARY TABLE told (tenant_id bigint, name text, number text, amount numeric);
INSERT INTO told VALUES (7, 'ACME', '+15550001', 3.25), (8, 'GLOBEX', '+44790002', 3.77717771);

-- What each pays by prices, terms and limits of its own.
INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, unit_price, effective_from, description)
SELECT tenant_id, 'voice', 'minute', substr(number, 2, 4), amount / 100, '2020-01-01', name FROM told;
SELECT set_tenant_limits(tenant_id, 'postpaid', 1000, 500 + amount, 5, 3600, 2) FROM told;
SELECT set_alert_threshold(tenant_id, 'amount', amount / 100) FROM told;
SELECT set_alert_target(tenant_id, 'webhook', 'https://example.org/' || name, 'secret of ' || name) FROM told;
INSERT INTO tenant_billing (tenant_id, billing_name, billing_address, tax_number)
SELECT tenant_id, name, name || ' Street 1', name || '-VAT' FROM told;
INSERT INTO tax_rules (tenant_id, name, percent, note) SELECT tenant_id, name || ' tax', 10, name FROM told;
INSERT INTO recurring_charges (tenant_id, description, unit_price, starts_on)
SELECT tenant_id, name || ' number', amount, '2026-01-01' FROM told;
INSERT INTO coupons (code, description, percent) VALUES ('WELCOME', 'Welcome', 5);
INSERT INTO tenant_coupons (tenant_id, coupon_id, starts_on) SELECT tenant_id, 1, '2026-01-01' FROM told;

-- Usage of a month that is over, and of now: by rows, by hand, and what could not be rated.
INSERT INTO calls (id, tenant_id, call_sid, from_number, to_number, status, initiated_at, duration_seconds, metadata)
SELECT tenant_id * 10 + n, tenant_id, name || '-CALL-' || n, number || 'from', number || '00' || n, 'completed',
    CASE WHEN n < 3 THEN date_trunc('month', now()) - interval '40 days' ELSE now() END,
    60 * n, jsonb_build_object('note', name)
FROM told CROSS JOIN generate_series(1, 4) AS n;
INSERT INTO messages (id, tenant_id, message_sid, channel, status, from_address, to_address, body, sent_at)
SELECT tenant_id, tenant_id, name || '-MESSAGE', 'sms', 'sent', number || 'from', number || '01', 'to ' || name,
    date_trunc('month', now()) - interval '40 days'
FROM told;
SELECT record_usage(tenant_id, 'sms', 'message', name || '-DIRECT', 1, jsonb_build_object('to', number, 'note', name)) FROM told;
SELECT merge_summaries();

-- Credit in all its forms.
SELECT grant_credit(tenant_id, 100 + amount, 'purchase', name || '-ORDER', now() + interval '1 year') FROM told;
SELECT grant_included_credits(tenant_id) FROM told;
SELECT spend_credit(tenant_id, amount, 'adjustment', name || '-SPENT') FROM told;
SELECT reserve_call(tenant_id, number || '09', name || '-KEY', 60) FROM told;

-- An invoice that is paid in part, with a credit note; usage that came after it, on the next, a draft.
SELECT record_payment(i.id, 1, 'card', name || '-PAYMENT')
FROM told
CROSS JOIN LATERAL finalize_invoice(
    generate_invoice(tenant_id, (date_trunc('month', now()) - interval '2 months')::date)
) AS i (id);
SELECT issue_credit_note(id, 1, 'an outage at ' || name, name || '-NOTE') FROM invoices INNER JOIN told USING (tenant_id);
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at, duration_seconds)
SELECT tenant_id * 10 + 9, tenant_id, name || '-LATE', number || '09', 'completed',
    date_trunc('month', now()) - interval '39 days', 600
FROM told;
SELECT generate_invoice(tenant_id, (date_trunc('month', now()) - interval '1 month')::date) FROM told;

-- A price that should have been another: proposed, not applied.
INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, unit_price, effective_from, description)
SELECT tenant_id, 'sms', 'message', '', amount / 50, '2020-01-01', name FROM told;
SELECT propose_rerating(current_date - 60, current_date + 1, tenant_id) FROM told;
SELECT maintain();

-- Last, for it is not merged into the sums yet, and an invoice would wait for it.
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at, duration_seconds)
SELECT tenant_id * 10 + 8, tenant_id, name || '-FRESH', number || '09', 'completed', now(), 60 FROM told;
INSERT INTO messages (id, tenant_id, message_sid, channel, status, to_address, body, sent_at)
SELECT tenant_id + 10, tenant_id, name || '-FAX', name || ' fax', 'sent', number || '02', name, now() FROM told;
INSERT INTO invoice_holds (tenant_id, source, reason) SELECT tenant_id, 'operator', 'asked by ' || name FROM told;
DROP TABLE told;
