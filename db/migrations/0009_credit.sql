-- credit: lots and what is taken from them.

ALTER TABLE billing.credit_entries
    ADD COLUMN priority integer NOT NULL DEFAULT 0,
    ADD COLUMN valid_from timestamptz
        CONSTRAINT credit_entries_valid_from_is_finite CHECK (isfinite(valid_from)),
    ADD COLUMN lot_id bigint,
    ADD CONSTRAINT credit_entries_expires_at_is_finite CHECK (isfinite(expires_at)),
    ADD CONSTRAINT credit_entries_only_takings_have_a_lot CHECK (lot_id IS NULL OR amount < 0);
CREATE INDEX credit_entries_expires_at_idx ON billing.credit_entries (tenant_id, expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE billing.credit_entries IS
'Every movement of a tenant''s credit, append-only. tenants.credit_balance is always the sum of its entries. An entry that
adds is a lot; credit_uses says what entries that take have taken from which lot.';
COMMENT ON COLUMN billing.credit_entries.priority IS 'Of a lot: lower is consumed first.';
COMMENT ON COLUMN billing.credit_entries.valid_from IS
'First instant whose usage the lot may pay for (included credit: the period''s beginning); NULL: any.';
COMMENT ON COLUMN billing.credit_entries.lot_id IS
'The one lot that the entry takes from (expiry, included credit taken back); NULL: the next in consumption order.';
COMMENT ON COLUMN billing.credit_entries.expires_at IS
'First instant whose usage the lot no longer pays for: what is left of it then lapses; NULL: never.';

CREATE TABLE billing.credit_uses (
    tenant_id bigint NOT NULL,
    lot_id bigint NOT NULL,
    entry_id bigint NOT NULL,
    amount numeric NOT NULL CONSTRAINT credit_uses_amount_is_an_amount CHECK (amount > 0 AND amount < 'Infinity'),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT credit_uses_pkey PRIMARY KEY (tenant_id, lot_id, entry_id),
    CONSTRAINT credit_uses_lot_fkey FOREIGN KEY (tenant_id, lot_id) REFERENCES billing.credit_entries (tenant_id, id),
    CONSTRAINT credit_uses_entry_fkey FOREIGN KEY (tenant_id, entry_id) REFERENCES billing.credit_entries (tenant_id, id)
);
CREATE INDEX credit_uses_entry_idx ON billing.credit_uses (tenant_id, entry_id);
COMMENT ON TABLE billing.credit_uses IS
'What an entry that takes (invoice, refund, expiry, ...) took from which lot, written with it, append-only. An entry that
took more than there was (a debt) is paid by the lots that come after it.';
COMMENT ON COLUMN billing.credit_uses.tenant_id IS 'Whose credit.';
COMMENT ON COLUMN billing.credit_uses.lot_id IS 'The lot: credit_entries.id of an entry that adds.';
COMMENT ON COLUMN billing.credit_uses.entry_id IS 'What took it: credit_entries.id of an entry that takes.';
COMMENT ON COLUMN billing.credit_uses.amount IS 'Major units of the tenant''s currency.';
COMMENT ON COLUMN billing.credit_uses.created_at IS 'When it was taken.';

-- Functions whose arguments change; they are loaded anew after the migrations.
DROP FUNCTION IF EXISTS billing.grant_credit;
