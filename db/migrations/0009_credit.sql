-- credit: lots and what is taken from them.

ALTER TABLE billing.credit_entries
    ADD COLUMN priority integer NOT NULL DEFAULT 0,
    ADD COLUMN valid_from timestamptz
        CONSTRAINT credit_entries_valid_from_is_finite CHECK (isfinite(valid_from)),
    ADD COLUMN lot_id bigint,
    ADD CONSTRAINT credit_entries_expires_at_is_finite CHECK (isfinite(expires_at)),
    ADD CONSTRAINT credit_entries_an_expiry_has_its_lot CHECK ((kind = 'expiry') = (lot_id IS NOT NULL));
CREATE INDEX credit_entries_expires_at_idx ON billing.credit_entries (tenant_id, expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE billing.credit_entries IS
'Every movement of a tenant''s credit, append-only. tenants.credit_balance is always the sum of its entries. An entry that
adds is a lot; credit_uses says what entries that take have taken from which lot.';
COMMENT ON COLUMN billing.credit_entries.priority IS 'Of a lot: lower is consumed first.';
COMMENT ON COLUMN billing.credit_entries.valid_from IS
'First instant whose usage the lot may pay for (included credit: the period''s beginning); NULL: any.';
COMMENT ON COLUMN billing.credit_entries.lot_id IS
'Of an expiry: the lot that expired; NULL for all others.';
COMMENT ON COLUMN billing.credit_entries.expires_at IS
'First instant whose usage the lot no longer pays for: what is left of it then lapses; NULL: never.';

CREATE TABLE billing.credit_uses (
    tenant_id bigint NOT NULL,
    lot_id bigint NOT NULL,
    entry_id bigint NOT NULL,
    amount numeric NOT NULL CONSTRAINT credit_uses_amount_is_an_amount CHECK (amount > 0 AND amount < 'Infinity'),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT credit_uses_pkey PRIMARY KEY (tenant_id, lot_id, entry_id)
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

-- What is still to lapse: maintain() and whoever reserves look here, not into all entries.
CREATE TABLE billing.credit_expiries (
    tenant_id bigint NOT NULL,
    entry_id bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    look_at timestamptz NOT NULL,
    CONSTRAINT credit_expiries_pkey PRIMARY KEY (tenant_id, entry_id)
);
CREATE INDEX credit_expiries_look_at_idx ON billing.credit_expiries (look_at);
COMMENT ON TABLE billing.credit_expiries IS 'Lots with an expiry of which something may be left, until expire_credit has entered it.';
COMMENT ON COLUMN billing.credit_expiries.tenant_id IS 'Whose credit.';
COMMENT ON COLUMN billing.credit_expiries.entry_id IS 'The lot: credit_entries.id.';
COMMENT ON COLUMN billing.credit_expiries.expires_at IS 'As credit_entries.expires_at.';
COMMENT ON COLUMN billing.credit_expiries.look_at IS
'When maintain() looks next: its expiry, and an hour later each time that usage not yet invoiced still needs what is left.';
INSERT INTO billing.credit_expiries (tenant_id, entry_id, expires_at, look_at)
SELECT tenant_id, id, expires_at, expires_at
FROM billing.credit_entries
WHERE expires_at IS NOT NULL
    AND amount > 0;

CREATE TABLE billing.included_grants (
    tenant_id bigint NOT NULL CONSTRAINT included_grants_pkey PRIMARY KEY,
    plan_id bigint,
    granted_until timestamptz NOT NULL
);
COMMENT ON TABLE billing.included_grants IS 'Up to when a tenant has the included credit of its plan; credit_entries has the credit itself.';
COMMENT ON COLUMN billing.included_grants.tenant_id IS 'tenants.id.';
COMMENT ON COLUMN billing.included_grants.plan_id IS 'The plan that it was granted for; NULL: none. Another plan since is prorated by the next grant.';
COMMENT ON COLUMN billing.included_grants.granted_until IS 'End of the billing period that was granted for, not included.';

CREATE TABLE billing.tenant_limits (
    tenant_id bigint NOT NULL CONSTRAINT tenant_limits_pkey PRIMARY KEY,
    mode text NOT NULL DEFAULT 'prepaid' CONSTRAINT tenant_limits_mode_is_known CHECK (mode IN ('prepaid', 'postpaid')),
    credit_limit numeric
        CONSTRAINT tenant_limits_credit_limit_is_an_amount CHECK (credit_limit >= 0 AND credit_limit < 'Infinity'),
    spend_cap numeric CONSTRAINT tenant_limits_spend_cap_is_an_amount CHECK (spend_cap >= 0 AND spend_cap < 'Infinity'),
    max_calls integer CONSTRAINT tenant_limits_max_calls_is_a_number CHECK (max_calls >= 0),
    max_call_seconds integer NOT NULL DEFAULT 86400
        CONSTRAINT tenant_limits_max_call_seconds_is_a_time CHECK (max_call_seconds BETWEEN 1 AND 604800),
    throttle_below numeric
        CONSTRAINT tenant_limits_throttle_below_is_an_amount CHECK (throttle_below > 0 AND throttle_below < 'Infinity')
);
COMMENT ON TABLE billing.tenant_limits IS
'Limits of a tenant, effective at once. They bind reservations and allowance, never the recording of usage. A tenant without
a row: reservations promise what the balance pays, allowance is 1.';
COMMENT ON COLUMN billing.tenant_limits.tenant_id IS 'tenants.id.';
COMMENT ON COLUMN billing.tenant_limits.mode IS 'prepaid: promises end where the balance ends; postpaid: at the credit limit, if there is one.';
COMMENT ON COLUMN billing.tenant_limits.credit_limit IS
'How far below zero the remaining credit may be promised, major units of the tenant''s currency; NULL: prepaid not at all,
postpaid without end.';
COMMENT ON COLUMN billing.tenant_limits.spend_cap IS 'What usage and reservations of a billing period may come to; NULL: no cap.';
COMMENT ON COLUMN billing.tenant_limits.max_calls IS 'Calls that may hold a reservation at one time; NULL: any number.';
COMMENT ON COLUMN billing.tenant_limits.max_call_seconds IS 'What one reservation of a call grants at most.';
COMMENT ON COLUMN billing.tenant_limits.throttle_below IS
'allowance falls from 1 to 0 while what may still be promised falls from this amount to nothing; NULL: it is 1 until then.';

CREATE TABLE billing.credit_accounts (
    tenant_id bigint NOT NULL CONSTRAINT credit_accounts_pkey PRIMARY KEY,
    reserved numeric NOT NULL DEFAULT 0 CONSTRAINT credit_accounts_reserved_is_an_amount CHECK (reserved >= 0),
    calls integer NOT NULL DEFAULT 0 CONSTRAINT credit_accounts_calls_is_a_number CHECK (calls >= 0)
) WITH (fillfactor = 20);
COMMENT ON TABLE billing.credit_accounts IS
'A row for each tenant that has ever reserved: who reserves holds it, one at a time. Its sums are of the reservations with
is_counted, so that neither settling nor releasing one needs the row.';
COMMENT ON COLUMN billing.credit_accounts.tenant_id IS 'tenants.id.';
COMMENT ON COLUMN billing.credit_accounts.reserved IS 'Sum of reservations.amount that is_counted.';
COMMENT ON COLUMN billing.credit_accounts.calls IS 'How many of those are calls.';

CREATE TABLE billing.reservations (
    tenant_id bigint NOT NULL,
    key text NOT NULL CONSTRAINT reservations_key_is_given CHECK (key <> ''),
    channel text NOT NULL,
    resource_type text NOT NULL,
    destination text,
    requested numeric,
    granted numeric NOT NULL CONSTRAINT reservations_granted_is_a_quantity CHECK (granted > 0 AND granted < 'Infinity'),
    amount numeric NOT NULL CONSTRAINT reservations_amount_is_an_amount CHECK (amount >= 0 AND amount < 'Infinity'),
    rate_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    outcome text CONSTRAINT reservations_outcome_is_known CHECK (outcome IN ('settled', 'released')),
    is_counted boolean NOT NULL DEFAULT true,
    CONSTRAINT reservations_pkey PRIMARY KEY (tenant_id, key)
);
CREATE INDEX reservations_key_idx ON billing.reservations (key);
-- What whoever reserves next takes off the account.
CREATE INDEX reservations_counted_idx ON billing.reservations (tenant_id, expires_at) WHERE is_counted;
-- What was held at an instant of the past.
CREATE INDEX reservations_held_idx ON billing.reservations (tenant_id, expires_at) WHERE outcome IS DISTINCT FROM 'settled';
COMMENT ON TABLE billing.reservations IS
'Money held for a call or message, until its usage is recorded (settled), it is released, or expires_at is past.';
COMMENT ON COLUMN billing.reservations.tenant_id IS 'Whose credit.';
COMMENT ON COLUMN billing.reservations.key IS 'call_sid or message_sid: usage recorded under this resource_id settles it.';
COMMENT ON COLUMN billing.reservations.channel IS 'voice, sms, email, ...';
COMMENT ON COLUMN billing.reservations.resource_type IS 'minute, message, mms, ...';
COMMENT ON COLUMN billing.reservations.destination IS 'As usage_records.destination: digits without +; NULL: none.';
COMMENT ON COLUMN billing.reservations.requested IS 'What was asked for, seconds for minutes, else units; NULL: as long as the balance pays.';
COMMENT ON COLUMN billing.reservations.granted IS 'What is promised, seconds for minutes, else units.';
COMMENT ON COLUMN billing.reservations.amount IS 'What is held: the price of what is promised, major units of the tenant''s currency.';
COMMENT ON COLUMN billing.reservations.rate_id IS 'The price that it was computed by: pricing_rates.id.';
COMMENT ON COLUMN billing.reservations.created_at IS 'When it was made.';
COMMENT ON COLUMN billing.reservations.expires_at IS 'From when on it holds nothing: moved up when it is settled or released.';
COMMENT ON COLUMN billing.reservations.outcome IS 'settled, released; NULL: held, or expired by itself.';
COMMENT ON COLUMN billing.reservations.is_counted IS 'Whether amount is in credit_accounts.reserved.';

CREATE TABLE billing.alert_thresholds (
    tenant_id bigint NOT NULL,
    basis text NOT NULL
        CONSTRAINT alert_thresholds_basis_is_known CHECK (basis IN ('included', 'balance', 'cap', 'amount')),
    threshold numeric NOT NULL
        CONSTRAINT alert_thresholds_threshold_is_an_amount CHECK (threshold > 0 AND threshold < 'Infinity'),
    CONSTRAINT alert_thresholds_pkey PRIMARY KEY (tenant_id, basis, threshold)
);
COMMENT ON TABLE billing.alert_thresholds IS 'When to tell a tenant how much of its money is used; checked by maintain().';
COMMENT ON COLUMN billing.alert_thresholds.tenant_id IS 'tenants.id.';
COMMENT ON COLUMN billing.alert_thresholds.basis IS
'included: percent of the plan''s included credit, balance: percent of the credit balance, both used by usage not yet invoiced
(balance) or of the period (included); cap: percent of tenant_limits.spend_cap used in the period; amount: usage of the period
in major units of the tenant''s currency.';
COMMENT ON COLUMN billing.alert_thresholds.threshold IS 'Percent, or the amount.';

CREATE TABLE billing.alert_checks (
    tenant_id bigint NOT NULL CONSTRAINT alert_checks_pkey PRIMARY KEY,
    checked_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
CREATE INDEX alert_checks_checked_at_idx ON billing.alert_checks (checked_at);
COMMENT ON TABLE billing.alert_checks IS 'Tenants with thresholds: who was looked at when, so that each round looks at those who wait longest.';
COMMENT ON COLUMN billing.alert_checks.tenant_id IS 'tenants.id.';
COMMENT ON COLUMN billing.alert_checks.checked_at IS 'When its thresholds were last compared.';

CREATE TABLE billing.alerts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL,
    period_start date NOT NULL,
    basis text NOT NULL,
    threshold numeric NOT NULL,
    used numeric NOT NULL,
    total numeric,
    currency text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT alerts_pkey PRIMARY KEY (tenant_id, id),
    -- One for each threshold and period, whoever races whom.
    CONSTRAINT alerts_once UNIQUE (tenant_id, period_start, basis, threshold)
);
COMMENT ON TABLE billing.alerts IS 'Thresholds that were crossed, once for each billing period.';
COMMENT ON COLUMN billing.alerts.id IS 'The alert.';
COMMENT ON COLUMN billing.alerts.tenant_id IS 'Whose money.';
COMMENT ON COLUMN billing.alerts.period_start IS 'First day of the billing period in which it was crossed.';
COMMENT ON COLUMN billing.alerts.basis IS 'As alert_thresholds.basis.';
COMMENT ON COLUMN billing.alerts.threshold IS 'As alert_thresholds.threshold.';
COMMENT ON COLUMN billing.alerts.used IS 'What was used when it was found, major units of currency.';
COMMENT ON COLUMN billing.alerts.total IS 'What the percentage is of; NULL for an amount.';
COMMENT ON COLUMN billing.alerts.currency IS 'ISO 4217.';
COMMENT ON COLUMN billing.alerts.created_at IS 'When it was found.';

CREATE TABLE billing.alert_targets (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL,
    kind text NOT NULL CONSTRAINT alert_targets_kind_is_known CHECK (kind IN ('webhook', 'email')),
    address text NOT NULL,
    secret text,
    is_active boolean NOT NULL DEFAULT true,
    CONSTRAINT alert_targets_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT alert_targets_address_key UNIQUE (tenant_id, kind, address),
    CONSTRAINT alert_targets_address_fits CHECK (
        CASE kind
            WHEN 'webhook' THEN address ~ '^https?://[^[:space:]]+$' AND secret <> '' AND secret IS NOT NULL
            ELSE address ~ '^[^@[:space:],;<>]+@[^@[:space:],;<>]+$' AND secret IS NULL
        END
    )
);
COMMENT ON TABLE billing.alert_targets IS 'Where a tenant''s alerts are sent.';
COMMENT ON COLUMN billing.alert_targets.id IS 'The target.';
COMMENT ON COLUMN billing.alert_targets.tenant_id IS 'Whose alerts.';
COMMENT ON COLUMN billing.alert_targets.kind IS 'webhook or email.';
COMMENT ON COLUMN billing.alert_targets.address IS 'The URL, or the email address.';
COMMENT ON COLUMN billing.alert_targets.secret IS 'What a webhook is signed with (HMAC-SHA256); NULL for email.';
COMMENT ON COLUMN billing.alert_targets.is_active IS 'false: nothing new is sent there.';

CREATE TABLE billing.alert_deliveries (
    tenant_id bigint NOT NULL,
    alert_id bigint NOT NULL,
    target_id bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz DEFAULT now(),
    delivered_at timestamptz,
    last_error text,
    CONSTRAINT alert_deliveries_pkey PRIMARY KEY (tenant_id, alert_id, target_id),
    CONSTRAINT alert_deliveries_alert_fkey FOREIGN KEY (tenant_id, alert_id)
        REFERENCES billing.alerts (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT alert_deliveries_target_fkey FOREIGN KEY (tenant_id, target_id)
        REFERENCES billing.alert_targets (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT alert_deliveries_delivered_is_done CHECK (delivered_at IS NULL OR next_try_at IS NULL)
);
CREATE INDEX alert_deliveries_target_idx ON billing.alert_deliveries (tenant_id, target_id);
CREATE INDEX alert_deliveries_due_idx ON billing.alert_deliveries (next_try_at) WHERE next_try_at IS NOT NULL;
COMMENT ON TABLE billing.alert_deliveries IS
'The outbox: an alert for each of its targets, written with the alert, sent by irisx-usage alerts deliver at least once.';
COMMENT ON COLUMN billing.alert_deliveries.tenant_id IS 'Whose alert.';
COMMENT ON COLUMN billing.alert_deliveries.alert_id IS 'The alert.';
COMMENT ON COLUMN billing.alert_deliveries.target_id IS 'Where to.';
COMMENT ON COLUMN billing.alert_deliveries.attempts IS 'How often it was tried.';
COMMENT ON COLUMN billing.alert_deliveries.next_try_at IS 'When to try next; NULL: no more, it was delivered or given up.';
COMMENT ON COLUMN billing.alert_deliveries.delivered_at IS 'When the target took it; NULL: not.';
COMMENT ON COLUMN billing.alert_deliveries.last_error IS 'Why the last attempt failed; NULL: none did.';

-- Functions whose arguments change; they are loaded anew after the migrations.
DROP FUNCTION IF EXISTS billing.grant_credit;
DROP FUNCTION IF EXISTS billing.list_period_usage;
