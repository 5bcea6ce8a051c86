-- credit and invoice: money granted and paid, and the bills.

CREATE TABLE billing.credit_entries (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL,
    amount numeric NOT NULL
        CONSTRAINT credit_entries_amount_is_finite
        CHECK (amount <> 0 AND amount > '-Infinity' AND amount < 'Infinity' AND scale(amount) <= 10),
    kind text NOT NULL
        CONSTRAINT credit_entries_kind_is_known CHECK (kind IN (
            'opening', 'purchase', 'grant', 'included', 'payment', 'refund', 'invoice', 'adjustment', 'expiry'
        )),
    reference text NOT NULL CONSTRAINT credit_entries_reference_is_given CHECK (reference <> ''),
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT credit_entries_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT credit_entries_reference_key UNIQUE (tenant_id, reference)
);
COMMENT ON TABLE billing.credit_entries IS
'Every movement of a tenant''s credit, append-only. tenants.credit_balance is always the sum of its entries.';
COMMENT ON COLUMN billing.credit_entries.id IS 'The entry.';
COMMENT ON COLUMN billing.credit_entries.tenant_id IS 'Whose credit.';
COMMENT ON COLUMN billing.credit_entries.amount IS 'Major units of the tenant''s currency; positive adds to the balance, negative takes from it.';
COMMENT ON COLUMN billing.credit_entries.kind IS 'opening (balance found at installation), purchase, grant, included, payment, refund, invoice, adjustment, expiry.';
COMMENT ON COLUMN billing.credit_entries.reference IS 'The caller''s name for the movement; the same reference again is the same entry.';
COMMENT ON COLUMN billing.credit_entries.expires_at IS 'When what is left of it lapses; NULL: never.';
COMMENT ON COLUMN billing.credit_entries.created_at IS 'When it was entered.';

INSERT INTO billing.credit_entries (tenant_id, amount, kind, reference)
SELECT id, credit_balance, 'opening', 'opening balance'
FROM public.tenants
WHERE credit_balance <> 0;

CREATE TABLE billing.invoices (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL,
    invoice_number text,
    period_start date NOT NULL,
    period_end date NOT NULL,
    subtotal numeric NOT NULL DEFAULT 0
        CONSTRAINT invoices_subtotal_is_finite CHECK (subtotal > '-Infinity' AND subtotal < 'Infinity'),
    tax numeric NOT NULL DEFAULT 0 CONSTRAINT invoices_tax_is_finite CHECK (tax > '-Infinity' AND tax < 'Infinity'),
    total_amount numeric NOT NULL DEFAULT 0,
    currency text NOT NULL CONSTRAINT invoices_currency_is_iso_4217 CHECK (currency ~ '^[A-Z]{3}$'),
    status text NOT NULL DEFAULT 'draft'
        CONSTRAINT invoices_status_is_known CHECK (status IN ('draft', 'pending', 'paid', 'overdue', 'void')),
    due_date date,
    finalized_at timestamptz,
    paid_at timestamptz,
    payment_method text,
    payment_reference text,
    notes text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT invoices_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT invoices_number_key UNIQUE (tenant_id, invoice_number),
    CONSTRAINT invoices_period_is_not_empty CHECK (period_end >= period_start),
    CONSTRAINT invoices_total_is_the_sum CHECK (total_amount = subtotal + tax),
    -- No day of a tenant is ever on two live invoices, whoever races whom.
    CONSTRAINT invoices_periods_do_not_overlap EXCLUDE USING gist (
        int8range(tenant_id, tenant_id, '[]') WITH &&,
        daterange(period_start, period_end, '[]') WITH &&
    ) WHERE (status <> 'void')
);
CREATE INDEX invoices_id_idx ON billing.invoices (id);
COMMENT ON TABLE billing.invoices IS 'One bill for one tenant and period. A draft is recomputed freely.';
COMMENT ON COLUMN billing.invoices.id IS 'The invoice.';
COMMENT ON COLUMN billing.invoices.tenant_id IS 'Who is billed.';
COMMENT ON COLUMN billing.invoices.invoice_number IS 'The number on paper; NULL while it is a draft.';
COMMENT ON COLUMN billing.invoices.period_start IS 'First day billed, in the tenant''s time zone.';
COMMENT ON COLUMN billing.invoices.period_end IS 'Last day billed, included.';
COMMENT ON COLUMN billing.invoices.subtotal IS 'Sum of the lines without tax, major units of currency.';
COMMENT ON COLUMN billing.invoices.tax IS 'Sum of the tax lines, major units of currency.';
COMMENT ON COLUMN billing.invoices.total_amount IS 'subtotal + tax, major units of currency.';
COMMENT ON COLUMN billing.invoices.currency IS 'ISO 4217.';
COMMENT ON COLUMN billing.invoices.status IS 'draft, pending, paid, overdue or void.';
COMMENT ON COLUMN billing.invoices.due_date IS 'Day by which it is to be paid; NULL while it is a draft.';
COMMENT ON COLUMN billing.invoices.finalized_at IS 'When it became immutable; NULL while it is a draft.';
COMMENT ON COLUMN billing.invoices.paid_at IS 'When it was paid in full; NULL: it was not.';
COMMENT ON COLUMN billing.invoices.payment_method IS 'How it was paid; NULL: it was not.';
COMMENT ON COLUMN billing.invoices.payment_reference IS 'The payment''s reference; NULL: it was not paid.';
COMMENT ON COLUMN billing.invoices.notes IS 'For people; NULL: none.';
COMMENT ON COLUMN billing.invoices.created_at IS 'When it was first drawn up.';

CREATE TABLE billing.invoice_line_items (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL,
    invoice_id bigint NOT NULL,
    kind text NOT NULL
        CONSTRAINT invoice_line_items_kind_is_known
        CHECK (kind IN ('usage', 'plan_fee', 'proration', 'credit', 'tax', 'adjustment')),
    channel text,
    resource_type text,
    description text NOT NULL,
    quantity numeric NOT NULL
        CONSTRAINT invoice_line_items_quantity_is_finite CHECK (quantity > '-Infinity' AND quantity < 'Infinity'),
    unit_price numeric,
    amount numeric NOT NULL
        CONSTRAINT invoice_line_items_amount_is_finite CHECK (amount > '-Infinity' AND amount < 'Infinity'),
    CONSTRAINT invoice_line_items_pkey PRIMARY KEY (tenant_id, invoice_id, id),
    CONSTRAINT invoice_line_items_invoice_fkey FOREIGN KEY (tenant_id, invoice_id)
        REFERENCES billing.invoices (tenant_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE billing.invoice_line_items IS 'The lines of an invoice; each rounded once, the invoice is their sum.';
COMMENT ON COLUMN billing.invoice_line_items.id IS 'The line.';
COMMENT ON COLUMN billing.invoice_line_items.tenant_id IS 'Who is billed.';
COMMENT ON COLUMN billing.invoice_line_items.invoice_id IS 'The invoice.';
COMMENT ON COLUMN billing.invoice_line_items.kind IS 'usage, plan_fee, proration, credit, tax or adjustment.';
COMMENT ON COLUMN billing.invoice_line_items.channel IS 'Channel of a usage line; NULL for the others.';
COMMENT ON COLUMN billing.invoice_line_items.resource_type IS 'Resource of a usage line; NULL for the others.';
COMMENT ON COLUMN billing.invoice_line_items.description IS 'What the customer reads.';
COMMENT ON COLUMN billing.invoice_line_items.quantity IS 'Exact sum, in units of the resource; 1 for a fee.';
COMMENT ON COLUMN billing.invoice_line_items.unit_price IS 'Price of one unit, major units of the invoice''s currency.';
COMMENT ON COLUMN billing.invoice_line_items.amount IS 'Exact sum rounded once to the currency''s minor unit, half away from zero.';
