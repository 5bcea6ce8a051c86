-- operate: the tables whose changes are administrative acts.
CREATE OR REPLACE VIEW billing.watched_tables AS
SELECT table_name, left_out, hidden
FROM (VALUES
    ('pricing_plans', '', ''),
    ('pricing_rates', '', ''),
    ('plan_allowances', '', ''),
    ('calendars', '', ''),
    ('calendar_bands', '', ''),
    ('calendar_holidays', '', ''),
    ('legal_entities', '', ''),
    ('tax_rules', '', ''),
    ('coupons', '', ''),
    ('tenant_coupons', '', ''),
    ('recurring_charges', '', ''),
    ('dunning_steps', '', ''),
    ('tenant_billing', '', 'billing_name,billing_address,tax_number'),
    ('tenant_limits', '', ''),
    ('alert_thresholds', '', ''),
    ('alert_targets', '', 'address,secret'),
    ('credit_entries', 'xact', ''),
    -- What a draft is made of changes with each drawing up, and never again.
    ('invoices', 'parties,usage_cut,usage_changes,subtotal,tax,total_amount,total_before_credit,plan_id', 'notes'),
    ('credit_notes', 'parties,taxes', ''),
    ('payments', '', ''),
    ('invoice_holds', 'held_at', ''),
    ('rerating_proposals', '', ''),
    ('metered_tables', '', ''),
    ('detached_months', '', ''),
    ('archives', '', ''),
    ('tenant_members', '', ''),
    ('retention', 'at_table,at_block,done_until', '')
) AS watched (table_name, left_out, hidden);

COMMENT ON VIEW billing.watched_tables IS 'The tables of schema billing whose changes note_change enters in audit_log.';
COMMENT ON COLUMN billing.watched_tables.table_name IS 'The table.';
COMMENT ON COLUMN billing.watched_tables.left_out IS 'Columns whose change is no act, separated by commas.';
COMMENT ON COLUMN billing.watched_tables.hidden IS 'Columns of which only is entered that they changed: secrets, and what tells of people.';
