-- Which rows. A table that carries tenants' data stands here, once: its owner sees all of it, billing_reader (and billing_tenant)
-- the rows of the tenants that visible_tenant_ids() gives, writers, analysts and administrators all rows, each only where
-- grants.sql lets them into the table at all. What is not here and has a tenant_id fails a test.

SELECT billing.show_to_tenants(format('billing.%I', t.name)::regclass)
FROM (VALUES
    ('adjustments'),
    ('alert_checks'),
    ('alert_deliveries'),
    ('alert_targets'),
    ('alert_thresholds'),
    ('alerts'),
    ('audit_log'),
    ('credit_accounts'),
    ('credit_entries'),
    ('credit_expiries'),
    ('credit_notes'),
    ('credit_uses'),
    ('direct_usage'),
    ('included_grants'),
    ('invoice_events'),
    ('invoice_holds'),
    ('invoice_line_items'),
    ('invoices'),
    ('issued_documents'),
    ('payments'),
    ('price_sums_by_day'),
    ('recurring_charges'),
    ('rerating_differences'),
    ('rerating_proposals'),
    ('reservations'),
    ('tax_rules'),
    ('tenant_billing'),
    ('tenant_coupons'),
    ('tenant_limits'),
    ('tenant_terms'),
    ('unrated_usage'),
    ('usage_deltas'),
    ('usage_records'),
    ('usage_records_default'),
    ('usage_sums')
) AS t (name);

-- Plans and prices: the default card, those of one's own tenants, and of the plans that they are or were on. Asked only of rows
-- that a query finds by itself (= ANY would be one more condition for the index, and asked before anything is found).
SELECT billing.show_to_tenants(
    format('billing.%I', t.name)::regclass,
    format('(SELECT billing.visible_card_ids()) @> ARRAY[%s]', t.card)
)
FROM (VALUES
    ('pricing_plans', '-id'),
    ('plan_allowances', '-plan_id'),
    ('pricing_rates', 'card'),
    ('resolved_prices', 'card')
) AS t (name, card);

-- Who sees what is seen by whom it concerns.
SELECT billing.show_to_tenants('billing.tenant_members', 'member = current_user');

-- A month read by its own name shows nothing: the policies are those of usage_records. New months are made so.
DO $$
DECLARE
    v_month regclass;
BEGIN
    FOR v_month IN
        SELECT c.oid
        FROM pg_class AS c
        WHERE c.relnamespace = 'billing'::regnamespace
            AND NOT c.relrowsecurity
            AND (
                c.oid IN (SELECT i.inhrelid FROM pg_inherits AS i WHERE i.inhparent = 'billing.usage_records'::regclass)
                OR c.relname IN (SELECT d.table_name FROM billing.detached_months AS d)
            )
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', v_month);
    END LOOP;
END;
$$;
