-- Fees by the day and second, in arrears and advance, recurring charges, discounts, taxes and credit: line by line.
BEGIN;
SELECT plan(43);

CREATE FUNCTION pg_temp.paper(p_tenant_id bigint, p_day date)
RETURNS SETOF text
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint := billing.generate_invoice(p_tenant_id, p_day);
BEGIN
    RETURN QUERY
    SELECT format('%s: %s: %s', kind, description, amount) FROM billing.get_invoice_lines(v_id)
    UNION ALL
    SELECT format('total: %s', total_amount) FROM billing.get_invoice(v_id);
END;
$$;
CREATE FUNCTION pg_temp.issue(p_tenant_id bigint, p_day date)
RETURNS bigint
LANGUAGE sql
AS $$SELECT billing.finalize_invoice(billing.generate_invoice(p_tenant_id, p_day))$$;

INSERT INTO pricing_plans (id, name, display_name, monthly_base_fee, fee_timing, proration, currency) VALUES
    (10, 'ten', 'Ten', 10, 'arrears', 'day', 'USD'), (20, 'twenty', 'Twenty', 20, 'arrears', 'day', 'USD'),
    (30, 'thirty', 'Thirty', 30, 'arrears', 'second', 'USD'), (40, 'ahead', 'Ahead', 40, 'advance', 'day', 'USD'),
    (50, 'whole', 'Whole', 50, 'arrears', 'none', 'USD'), (60, 'yen', 'Yen', 1000, 'arrears', 'day', 'JPY'), (70, 'dinar', 'Dinar', 10, 'arrears', 'day', 'BHD');
INSERT INTO tenants (id, company_name, plan_id, currency, timezone)
SELECT n, 'Tenant ' || n, p, COALESCE(c, 'USD'), 'America/New_York'
FROM (VALUES (1, 10, NULL), (2, 30, NULL), (3, 40, NULL), (4, 50, NULL), (6, 60, 'JPY'), (7, 70, 'BHD'), (8, 10, NULL), (9, 1, NULL)) AS t (n, p, c);
-- What held when, as the trigger on tenants would have entered it then.
CREATE FUNCTION pg_temp.change_plan(p_tenant_id bigint, p_plan_id bigint, p_at timestamptz)
RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO billing.tenant_terms (tenant_id, valid_from, plan_id, timezone, currency, cards)
    SELECT tenant_id, p_at, p_plan_id, timezone, currency, cards FROM billing.tenant_terms WHERE tenant_id = p_tenant_id ORDER BY valid_from DESC LIMIT 1
$$;

-- Start, end and change.
SELECT set_eq($$SELECT pg_temp.paper(1, '2024-03-01')$$, ARRAY['plan_fee: Ten, monthly fee: 10.00', 'total: 10.00'], 'a whole period is the fee');
SELECT pg_temp.change_plan(1, 20, '2024-03-15 15:00:00+00');
SELECT set_eq($$SELECT pg_temp.paper(1, '2024-03-01')$$,
    ARRAY['proration: Ten, 2024-03-01 to 2024-03-14, 14 of 31 days: 4.52', 'proration: Twenty, 2024-03-15 to 2024-03-31, 17 of 31 days: 10.97', 'total: 15.49'],
    'a change is by days, its own day on the new plan');
SELECT pg_temp.change_plan(1, 10, '2024-03-15 16:00:00+00');
SELECT set_eq($$SELECT pg_temp.paper(1, '2024-03-01')$$,
    ARRAY['proration: Ten, 2024-03-01 to 2024-03-14, 14 of 31 days: 4.52', 'proration: Ten, 2024-03-15 to 2024-03-31, 17 of 31 days: 5.48', 'total: 10.00'],
    'changed back within the day, the other asks for nothing');
INSERT INTO tenant_billing (tenant_id, service_start, service_end) VALUES (8, '2024-03-10 05:00:00+00', '2024-04-20 04:00:00+00'), (2, '2024-03-10 05:00:00+00', NULL);
SELECT set_eq($$SELECT pg_temp.paper(8, '2024-03-01')$$,
    ARRAY['proration: Ten, 2024-03-10 to 2024-03-31, 22 of 31 days: 7.10', 'total: 7.10'], 'a start is by days');
SELECT set_eq($$SELECT pg_temp.paper(8, '2024-04-01')$$,
    ARRAY['proration: Ten, 2024-04-01 to 2024-04-19, 19 of 30 days: 6.33', 'total: 6.33'], 'so is an end');
SELECT set_eq($$SELECT pg_temp.paper(8, '2024-05-01')$$, ARRAY['total: 0'], 'after it there is no fee');
-- From 10 March 00:00 to 1 April is 22 days less the hour of summer time; March is 31 days less that hour.
SELECT set_eq($$SELECT pg_temp.paper(2, '2024-03-01')$$,
    ARRAY[format('proration: Thirty, 2024-03-10 to 2024-03-31, 22 of 31 days: %s', round(30 * (22 * 24 - 1) / (31 * 24 - 1.0), 2)), 'total: ' || round(30 * 527 / 743.0, 2)],
    'by the second, an hour that the clocks skip is not paid for');
SELECT pg_temp.change_plan(4, 10, '2024-03-20 12:00:00+00');
SELECT set_eq($$SELECT pg_temp.paper(4, '2024-03-01')$$,
    ARRAY['proration: Ten, 2024-03-20 to 2024-03-31, 12 of 31 days: 3.87', 'total: 3.87'], 'a plan that is not prorated is paid for by who has it at the end');
SELECT set_eq($$SELECT pg_temp.paper(4, '2024-02-01')$$, ARRAY['plan_fee: Whole, monthly fee: 50.00', 'total: 50.00'], 'whole');

-- In advance.
SELECT set_eq($$SELECT pg_temp.paper(3, '2024-03-01')$$,
    ARRAY['plan_fee: Ahead, monthly fee: 40.00', 'plan_fee: Ahead, monthly fee, 2024-04-01 to 2024-04-30: 40.00', 'total: 80.00'],
    'the first invoice asks for its own period and the next');
SELECT lives_ok($$SELECT pg_temp.issue(3, '2024-03-01')$$, 'issued');
SELECT set_eq($$SELECT pg_temp.paper(3, '2024-04-01')$$,
    ARRAY['plan_fee: Ahead, monthly fee, 2024-05-01 to 2024-05-31: 40.00', 'total: 40.00'], 'the second only for the next');
SELECT pg_temp.change_plan(3, 10, '2024-04-16 12:00:00+00');
SELECT set_eq($$SELECT pg_temp.paper(3, '2024-04-01')$$,
    ARRAY['proration: Ten, 2024-04-16 to 2024-04-30, 15 of 30 days: 5.00', 'proration: Ahead, 2024-04-01 to 2024-04-30, 20.00 asked less 40.00 invoiced in advance: -20.00', 'total: -15.00'],
    'what was paid for and not used is taken off');
SELECT lives_ok($$SELECT pg_temp.issue(3, '2024-04-01')$$, 'issued');
SELECT throws_ok($$SELECT void_invoice(pg_temp.issue(3, '2024-03-01'), 'x')$$, 'UB007', NULL, 'an invoice cannot be voided once another made up for its fee');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 3), 15.00, 'an invoice of less than nothing becomes credit');
SELECT is((SELECT status FROM get_invoices(3) WHERE period_start = '2024-04-01'), 'paid', 'and asks for nothing');

-- Other currencies.
SELECT pg_temp.change_plan(6, 1, '2024-03-15 12:00:00+00');
UPDATE pricing_plans SET currency = 'USD' WHERE id = 1;
SELECT set_eq($$SELECT pg_temp.paper(6, '2024-03-01')$$, ARRAY['proration: Yen, 2024-03-01 to 2024-03-14, 14 of 31 days: 452', 'total: 452'], 'yen have no decimals');
INSERT INTO tax_rules (tenant_id, name, percent) VALUES (7, 'VAT', 10.555);
SELECT set_eq($$SELECT pg_temp.paper(7, '2024-03-01')$$,
    ARRAY['plan_fee: Dinar, monthly fee: 10.000', 'tax: VAT 10.555 % of 10.000: 1.056', 'total: 11.056'], 'dinars three, taxes too');

-- Recurring charges.
INSERT INTO recurring_charges (tenant_id, description, quantity, unit_price, starts_on, ends_on, timing) VALUES
    (9, 'Number +15550100', 1, 1.50, '2024-03-01', NULL, 'arrears'), (9, 'Numbers', 3, 2, '2024-03-21', '2024-04-10', 'arrears'),
    (9, 'Trunk', 1, 9, '2024-03-16', NULL, 'advance');
SELECT set_eq($$SELECT pg_temp.paper(9, '2024-03-01')$$,
    ARRAY['recurring: Number +15550100: 1.50', 'recurring: Numbers, 2024-03-21 to 2024-03-31, 11 of 31 days: 2.13',
        'recurring: Trunk, 2024-03-16 to 2024-03-31, 16 of 31 days: 4.65', 'recurring: Trunk, 2024-04-01 to 2024-04-30: 9.00', 'total: 17.28'],
    'number rental: whole, by days, and in advance');
SELECT lives_ok($$SELECT pg_temp.issue(9, '2024-03-01')$$, 'issued');
UPDATE recurring_charges SET ends_on = '2024-04-15' WHERE description = 'Trunk';
SELECT set_eq($$SELECT pg_temp.paper(9, '2024-04-01')$$,
    ARRAY['recurring: Number +15550100: 1.50', 'recurring: Numbers, 2024-04-01 to 2024-04-10, 10 of 30 days: 2.00',
        'recurring: Trunk, 2024-04-01 to 2024-04-30, less 9.00 invoiced in advance: -4.50', 'total: -1.00'],
    'given back where it ended early');

-- Discounts, before tax: the published example of four lines, three rates and a coupon.
INSERT INTO pricing_plans (id, name, display_name, monthly_base_fee) VALUES (80, 'sub', 'Subscription', 100);
INSERT INTO tenants (id, plan_id) VALUES (10, 80);
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from, tenant_id) VALUES ('fx', 'unit', 1, '2020-01-01', 10), ('cards', 'unit', 50, '2020-01-01', 10);
SELECT record_usage(10, 'fx', 'unit', 'F', 50, '{}', '2024-03-10'), record_usage(10, 'cards', 'unit', 'C', 1, '{}', '2024-03-10') AS id
\gset
INSERT INTO tax_rules (tenant_id, name, percent, kind, channel) VALUES (10, 'VAT', 10, 'plan_fee', NULL), (10, 'VAT', 0, NULL, 'fx'), (10, 'VAT', 20, NULL, 'cards');
INSERT INTO coupons (code, description, amount, currency) VALUES ('TEN', 'Ten off', 10, 'USD');
INSERT INTO coupons (code, description, percent, kind) VALUES ('USE50', 'Half of the usage', 50, 'usage');
INSERT INTO tenant_coupons (tenant_id, coupon_id, starts_on, periods) SELECT 10, id, '2024-03-01', 1 FROM coupons WHERE code = 'TEN';
SELECT set_eq($$SELECT pg_temp.paper(10, '2024-03-01')$$,
    ARRAY['plan_fee: Subscription, monthly fee: 100.00', 'usage: Cards unit - 1 unit: 50.00', 'usage: Fx unit - 50 units: 50.00', 'discount: Ten off: -10.00',
        'tax: VAT 20 % of 47.50: 9.50', 'tax: VAT 10 % of 95.00: 9.50', 'tax: VAT 0 % of 47.50: 0.00', 'total: 209.00'],
    'a discount is taken off all lines before each is taxed at its rate');
SELECT is((SELECT subtotal FROM get_invoices(10)), 190.00, 'and is in the subtotal');
SELECT lives_ok($$SELECT pg_temp.issue(10, '2024-03-01')$$, 'issued');
SELECT set_has($$SELECT pg_temp.paper(10, '2024-04-01')$$, $$VALUES ('total: 110.00')$$, 'given for one period, it is for one invoice');
INSERT INTO tenant_coupons (tenant_id, coupon_id, starts_on) SELECT 10, id, '2024-03-01' FROM coupons WHERE code = 'USE50';
SELECT record_usage(10, 'cards', 'unit', 'D', 1, '{}', '2024-05-10') AS id
\gset
SELECT set_eq($$SELECT pg_temp.paper(10, '2024-05-01')$$,
    ARRAY['plan_fee: Subscription, monthly fee: 100.00', 'usage: Cards unit - 1 unit: 50.00', 'discount: Half of the usage, 50 % of 50.00: -25.00',
        'tax: VAT 20 % of 25.00: 5.00', 'tax: VAT 10 % of 100.00: 10.00', 'total: 140.00'], 'a percentage may be of usage only');

-- Exemption and reverse charge.
INSERT INTO tax_rules (name, percent) VALUES ('VAT', 25);
SELECT set_eq($$SELECT pg_temp.paper(1, '2024-02-01')$$, ARRAY['plan_fee: Ten, monthly fee: 10.00', 'tax: VAT 25 % of 10.00: 2.50', 'total: 12.50'], 'a rule for all');
INSERT INTO tax_rules (tenant_id, name, percent, treatment, note) VALUES (1, 'VAT', 0, 'reverse_charge', 'reverse charge, the customer owes the tax');
SELECT set_eq($$SELECT pg_temp.paper(1, '2024-02-01')$$,
    ARRAY['plan_fee: Ten, monthly fee: 10.00', 'tax: VAT 0 % of 10.00: reverse charge, the customer owes the tax: 0.00', 'total: 10.00'], 'the tenant''s own before it, with its text');
INSERT INTO tax_rules (name, percent, effective_from) VALUES ('City', 1.5, '2024-03-01');
SELECT set_has($$SELECT pg_temp.paper(1, '2024-03-01')$$, $$VALUES ('tax: City 1.5 % of 10.00: 0.15')$$, 'two taxes on a line, each from its day on');
SELECT throws_ok($$INSERT INTO tax_rules (name, percent) VALUES ('Bad', -1)$$, '23514', NULL, 'a negative tax is refused');
SELECT throws_ok($$INSERT INTO tax_rules (name, percent, treatment) VALUES ('Bad', 0, 'exempt')$$, '23514', NULL, 'an exemption says why');
SELECT throws_ok($$INSERT INTO tax_rules (name, percent) VALUES ('VAT', 19)$$, '23505', NULL, 'two rates for the same lines are refused');

-- Of the exact amount: 45 % of 0.012 are a cent, of 0.01 none.
INSERT INTO tenants (id, plan_id) VALUES (12, 1);
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from, tenant_id) VALUES ('fx', 'unit', 0.012, '2020-01-01', 12);
INSERT INTO tax_rules (tenant_id, name, percent) VALUES (12, 'VAT', 45);
SELECT record_usage(12, 'fx', 'unit', 'F', 1, '{}', '2024-02-10') AS id
\gset
SELECT set_eq($$SELECT pg_temp.paper(12, '2024-02-01')$$, ARRAY['usage: Fx unit - 1 unit: 0.01', 'tax: VAT 45 % of 0.01: 0.01', 'total: 0.02'], 'tax is of the exact amount');

-- Five lines of which nothing is left have been rounded by 0.02 together: 45 % of that are a cent.
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from, tenant_id)
SELECT 'fx', 'unit' || n, 0.014 + n * 0.0001, '2020-01-01', 12 FROM generate_series(0, 4) AS n;
SELECT count(record_usage(12, 'fx', 'unit' || n, 'G', 1, '{}', '2024-03-10')) FROM generate_series(0, 4) AS n
\gset
INSERT INTO coupons (code, description, percent) VALUES ('ALL', 'All of it', 100);
INSERT INTO tenant_coupons (tenant_id, coupon_id, starts_on, ends_on) SELECT 12, id, '2024-03-01', '2024-03-31' FROM coupons WHERE code = 'ALL';
SELECT set_has($$SELECT pg_temp.paper(12, '2024-03-01')$$, $$VALUES ('tax: VAT 45 % of 0.00: 0.00'), ('total: 0.00')$$, 'nothing left to pay leaves no tax');
SELECT count(record_usage(12, 'fx', 'unit' || n, 'H', 1, '{}', '2024-04-10')) FROM generate_series(0, 4) AS n
\gset
SELECT enter_credit(12, 20, 'included', 'allowance', p_expires_at => '2024-05-01', p_valid_from => '2024-04-01') AS id, pg_temp.issue(12, '2024-04-01') AS covered
\gset
SELECT is((SELECT total_amount::text FROM get_invoice(:covered)), '0.00', 'nor where included credit pays for all of it');

-- Credit: included before tax, for usage only; prepaid after it, for all.
INSERT INTO tenants (id, plan_id) VALUES (11, 10);
INSERT INTO pricing_rates (channel, resource_type, unit_price, effective_from, tenant_id) VALUES ('fx', 'unit', 1, '2020-01-01', 11);
SELECT record_usage(11, 'fx', 'unit', 'F', 50, '{}', '2024-03-10') AS id
\gset
SELECT enter_credit(11, 20, 'included', 'allowance', p_expires_at => '2024-04-01', p_valid_from => '2024-03-01'), grant_credit(11, 30, 'purchase', 'bought') AS id
\gset
SELECT set_eq($$SELECT pg_temp.paper(11, '2024-03-01')$$,
    ARRAY['plan_fee: Ten, monthly fee: 10.00', 'usage: Fx unit - 50 units: 50.00', 'tax: VAT 25 % of 60.00: 15.00', 'tax: City 1.5 % of 60.00: 0.90', 'total: 75.90'],
    'a draft takes no credit');
SELECT pg_temp.issue(11, '2024-03-01') AS paid
\gset
SELECT set_eq($$SELECT format('%s: %s: %s', kind, description, amount) FROM get_invoice_lines((SELECT id FROM get_invoices(11)))$$,
    ARRAY['plan_fee: Ten, monthly fee: 10.00', 'usage: Fx unit - 50 units: 50.00', 'credit: Included credit: -20.00', 'tax: VAT 25 % of 40.00: 10.00',
        'tax: City 1.5 % of 40.00: 0.60', 'credit: Prepaid credit: -30.00'],
    'issued, included credit is taken off usage before tax, and prepaid credit pays');
SELECT is((SELECT total_amount FROM get_invoice(:paid)), 20.60, 'what is left is to be paid');
SELECT is((SELECT credit_balance FROM tenants WHERE id = 11), 0.00, 'the credit is spent');
SELECT is(void_invoice(:paid, 'x'), :paid::bigint, 'voided');
SELECT results_eq('SELECT kind, amount FROM credit_entries WHERE tenant_id = 11 AND amount > 0 ORDER BY id', $$VALUES ('included', 20::numeric), ('purchase', 30), ('included', 20), ('purchase', 30)$$,
    'it comes back as it was');

-- The plans were changed in history only.
SELECT is_empty($$SELECT * FROM verify() WHERE check_name <> 'the terms of a tenant are remembered'$$, 'every other promise holds');
SELECT * FROM finish();
ROLLBACK;
