-- operate and invoice: re-rating as a stored difference, and what it changes on invoices already issued.
CREATE TABLE billing.rerating_proposals (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT rerating_proposals_pkey PRIMARY KEY,
    tenant_id bigint,
    from_date date NOT NULL,
    to_date date NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz,
    CONSTRAINT rerating_proposals_range_is_not_empty CHECK (to_date >= from_date)
);
COMMENT ON TABLE billing.rerating_proposals IS
'What the usage of some days would cost by the prices entered since; rerating_differences holds the records it changes.';
COMMENT ON COLUMN billing.rerating_proposals.id IS 'The proposal.';
COMMENT ON COLUMN billing.rerating_proposals.tenant_id IS 'Whose usage; NULL: every tenant''s.';
COMMENT ON COLUMN billing.rerating_proposals.from_date IS 'First usage_date looked at.';
COMMENT ON COLUMN billing.rerating_proposals.to_date IS 'Last usage_date looked at, included.';
COMMENT ON COLUMN billing.rerating_proposals.created_at IS 'When it was drawn up.';
COMMENT ON COLUMN billing.rerating_proposals.applied_at IS 'When it was applied; NULL: it was not.';

CREATE TABLE billing.rerating_differences (
    tenant_id bigint NOT NULL,
    proposal_id bigint NOT NULL
        CONSTRAINT rerating_differences_proposal_id_fkey REFERENCES billing.rerating_proposals (id) ON DELETE CASCADE,
    record_id bigint NOT NULL,
    record_created_at timestamptz NOT NULL,
    usage_date date NOT NULL,
    old_rate_id bigint NOT NULL,
    old_cost numeric NOT NULL,
    new_rate_id bigint,
    new_unit_cost numeric,
    new_billed_quantity numeric,
    new_cost numeric,
    problem text,
    new_record_id bigint,
    CONSTRAINT rerating_differences_pkey PRIMARY KEY (tenant_id, proposal_id, record_id)
);
CREATE INDEX rerating_differences_proposal_id_idx ON billing.rerating_differences (proposal_id);
COMMENT ON TABLE billing.rerating_differences IS 'Each charge that a proposal would change: what it cost, and what it would cost.';
COMMENT ON COLUMN billing.rerating_differences.tenant_id IS 'Whose usage.';
COMMENT ON COLUMN billing.rerating_differences.proposal_id IS 'The proposal.';
COMMENT ON COLUMN billing.rerating_differences.record_id IS 'The charge: usage_records.id.';
COMMENT ON COLUMN billing.rerating_differences.record_created_at IS 'Its created_at, by which it is found.';
COMMENT ON COLUMN billing.rerating_differences.usage_date IS 'Its usage_date.';
COMMENT ON COLUMN billing.rerating_differences.old_rate_id IS 'The price it was charged by.';
COMMENT ON COLUMN billing.rerating_differences.old_cost IS 'What it was charged, major units of its currency.';
COMMENT ON COLUMN billing.rerating_differences.new_rate_id IS 'The price that holds by now for that time; NULL: none does.';
COMMENT ON COLUMN billing.rerating_differences.new_unit_cost IS 'As usage_records.unit_cost, by that price.';
COMMENT ON COLUMN billing.rerating_differences.new_billed_quantity IS 'As usage_records.billed_quantity, by that price.';
COMMENT ON COLUMN billing.rerating_differences.new_cost IS 'As usage_records.total_cost, by that price.';
COMMENT ON COLUMN billing.rerating_differences.problem IS 'Why there is no new price (UB001, ...); such a charge stays as it is. NULL: there is one.';
COMMENT ON COLUMN billing.rerating_differences.new_record_id IS
'The charge written in its place; NULL: not applied, or the charge no longer stood by then.';

CREATE TABLE billing.adjustments (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL,
    amount numeric NOT NULL
        CONSTRAINT adjustments_amount_is_finite CHECK (amount <> 0 AND amount > '-Infinity' AND amount < 'Infinity'),
    period_start date NOT NULL,
    period_end date NOT NULL,
    reference text NOT NULL CONSTRAINT adjustments_reference_is_given CHECK (reference <> ''),
    description text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    invoice_id bigint,
    CONSTRAINT adjustments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT adjustments_reference_key UNIQUE (tenant_id, reference),
    CONSTRAINT adjustments_invoice_fkey FOREIGN KEY (tenant_id, invoice_id)
        REFERENCES billing.invoices (tenant_id, id) ON DELETE SET NULL (invoice_id)
);
CREATE INDEX adjustments_invoice_idx ON billing.adjustments (tenant_id, invoice_id);
COMMENT ON TABLE billing.adjustments IS
'What changed in a period after its invoice was issued: a line of the next invoice, exact until it is rounded there.';
COMMENT ON COLUMN billing.adjustments.id IS 'The adjustment.';
COMMENT ON COLUMN billing.adjustments.tenant_id IS 'Whose invoice.';
COMMENT ON COLUMN billing.adjustments.amount IS 'Exact, major units of the tenant''s currency; negative is in the tenant''s favour.';
COMMENT ON COLUMN billing.adjustments.period_start IS 'First day of the invoiced period that it belongs to.';
COMMENT ON COLUMN billing.adjustments.period_end IS 'Last day of that period, included.';
COMMENT ON COLUMN billing.adjustments.reference IS 'What it stems from; the same reference again is the same adjustment.';
COMMENT ON COLUMN billing.adjustments.description IS 'What the customer reads.';
COMMENT ON COLUMN billing.adjustments.created_at IS 'When it was entered.';
COMMENT ON COLUMN billing.adjustments.invoice_id IS 'The invoice that bills it, a draft until finalized; NULL: none yet.';
