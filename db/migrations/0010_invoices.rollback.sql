DROP TABLE billing.invoice_holds;
DROP TABLE billing.dunning_steps;
DROP TABLE billing.invoice_events;
DROP TABLE billing.credit_notes;
DROP TABLE billing.payments;
DROP INDEX billing.adjustments_period_idx;
DELETE FROM billing.adjustments WHERE amount = 0;
ALTER TABLE billing.adjustments
    DROP CONSTRAINT adjustments_amount_is_finite,
    ADD CONSTRAINT adjustments_amount_is_finite CHECK (amount <> 0 AND amount > '-Infinity' AND amount < 'Infinity'),
    DROP COLUMN usage_changes,
    DROP COLUMN usage_cut,
    DROP COLUMN adjusted_invoice_id;
DROP INDEX billing.invoice_line_items_id_idx;
DELETE FROM billing.invoice_line_items WHERE kind IN ('recurring', 'discount');
ALTER TABLE billing.invoice_line_items
    DROP COLUMN is_prepaid,
    DROP COLUMN tax_percent,
    DROP COLUMN tax_treatment,
    DROP COLUMN tax_name,
    DROP COLUMN service_end,
    DROP COLUMN service_start,
    DROP COLUMN coupon_id,
    DROP COLUMN recurring_charge_id,
    DROP COLUMN plan_id,
    DROP COLUMN rate_id,
    DROP COLUMN taxable_amount,
    DROP COLUMN exact_amount,
    DROP CONSTRAINT invoice_line_items_kind_is_known,
    ADD CONSTRAINT invoice_line_items_kind_is_known CHECK (kind IN ('usage', 'plan_fee', 'proration', 'credit', 'tax', 'adjustment'));
ALTER TABLE billing.invoices
    DROP CONSTRAINT invoices_paid_owes_nothing,
    DROP CONSTRAINT invoices_issued_has_number_and_cut,
    DROP COLUMN void_reason,
    DROP COLUMN voided_at,
    DROP COLUMN dunning_level,
    DROP COLUMN amount_credited,
    DROP COLUMN amount_paid,
    DROP COLUMN total_before_credit,
    DROP COLUMN usage_changes,
    DROP COLUMN usage_cut,
    DROP COLUMN parties,
    DROP COLUMN plan_id,
    DROP COLUMN legal_entity_id;
DROP INDEX billing.invoices_open_idx;
DROP TABLE billing.issued_documents;
DROP TABLE billing.number_series;
DROP TABLE billing.tax_rules;
DROP TABLE billing.tenant_coupons;
DROP TABLE billing.coupons;
DROP TABLE billing.recurring_charges;
ALTER TABLE billing.pricing_plans DROP COLUMN proration, DROP COLUMN fee_timing;
DROP TABLE billing.tenant_billing;
DROP TABLE billing.legal_entities;
DROP TABLE billing.price_sums_by_day;
DROP TYPE billing.usage_cut;
ALTER TABLE billing.usage_deltas DROP COLUMN changes;
ALTER TABLE billing.usage_sums DROP COLUMN changes;
ALTER TABLE billing.usage_records DROP COLUMN xact;
