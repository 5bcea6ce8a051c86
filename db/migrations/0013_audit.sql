-- operate: who did what, and seals by which a change of what was written is noticed.

-- An entry of credit knows its transaction, as a usage record does, so that a seal can say which entries it has in it.
ALTER TABLE billing.credit_entries ADD COLUMN xact xid8;
ALTER TABLE billing.credit_entries ALTER COLUMN xact SET DEFAULT pg_current_xact_id();
COMMENT ON COLUMN billing.credit_entries.xact IS 'The transaction that wrote it; NULL: older than seals.';

CREATE TABLE billing.audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT audit_log_pkey PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    login text NOT NULL DEFAULT session_user,
    role text NOT NULL DEFAULT COALESCE(NULLIF(current_setting('role', true), 'none'), session_user),
    application text DEFAULT NULLIF(current_setting('application_name', true), ''),
    client text DEFAULT host(inet_client_addr()),
    xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
    action text NOT NULL CONSTRAINT audit_log_action_is_given CHECK (action <> ''),
    via text,
    object text NOT NULL CONSTRAINT audit_log_object_is_given CHECK (object <> ''),
    key text,
    tenant_id bigint,
    row_count bigint NOT NULL DEFAULT 1,
    old_values jsonb,
    new_values jsonb,
    reason text
);
CREATE INDEX audit_log_tenant_idx ON billing.audit_log (tenant_id, id);
COMMENT ON TABLE billing.audit_log IS
'Every administrative act, append-only: who, when, what, why. Kept by triggers on the tables that are administered, and by
note_act. It has no secrets, no numbers and no addresses. list_acts reads it.';
COMMENT ON COLUMN billing.audit_log.id IS 'The entry.';
COMMENT ON COLUMN billing.audit_log.at IS 'When.';
COMMENT ON COLUMN billing.audit_log.login IS 'Who was logged in: session_user.';
COMMENT ON COLUMN billing.audit_log.role IS 'As which role: that of SET ROLE, else the login.';
COMMENT ON COLUMN billing.audit_log.application IS 'application_name, which a client chooses freely; NULL: none.';
COMMENT ON COLUMN billing.audit_log.client IS 'Address that the client connected from; NULL: a local socket.';
COMMENT ON COLUMN billing.audit_log.xact IS 'The transaction: what has the same was done together.';
COMMENT ON COLUMN billing.audit_log.action IS 'insert, update, delete or truncate, or what a function calls its act: dismiss, forget, ...';
COMMENT ON COLUMN billing.audit_log.via IS 'The function of billing that was called for it; NULL: done by hand.';
COMMENT ON COLUMN billing.audit_log.object IS 'The table, of schema billing unless it says another.';
COMMENT ON COLUMN billing.audit_log.key IS
'The primary key of the row, its columns separated by commas; of many rows the first and the last id; NULL: none.';
COMMENT ON COLUMN billing.audit_log.tenant_id IS 'Whose; NULL: nobody''s, or of several tenants.';
COMMENT ON COLUMN billing.audit_log.row_count IS 'How many rows the statement changed where they have one entry; else 1.';
COMMENT ON COLUMN billing.audit_log.old_values IS
'What was there before: the columns that changed. Of many rows: what they had in common. NULL: nothing.';
COMMENT ON COLUMN billing.audit_log.new_values IS
'What is there since: the columns that changed, or the details of an act. Of many rows: what they have in common, changed or not.';
COMMENT ON COLUMN billing.audit_log.reason IS
'Why: the reason that the function was given, else the setting billing.reason; NULL: nobody said.';

CREATE TABLE billing.seals (
    id bigint NOT NULL CONSTRAINT seals_pkey PRIMARY KEY CONSTRAINT seals_id_is_positive CHECK (id > 0),
    series text NOT NULL,
    month date CONSTRAINT seals_month_is_the_first_day CHECK (month = date_trunc('month', month)::date),
    cut billing.usage_cut NOT NULL,
    records bigint NOT NULL CONSTRAINT seals_records_is_a_count CHECK (records > 0),
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    content_hash bytea NOT NULL,
    chain_hash bytea NOT NULL,
    ids bigint[] NOT NULL,
    marks integer[] NOT NULL,
    CONSTRAINT seals_marks_are_of_ids CHECK (cardinality(ids) = records AND cardinality(marks) = records)
);
CREATE INDEX seals_series_idx ON billing.seals (series, id);
COMMENT ON TABLE billing.seals IS
'A chain of hashes, append-only, over what was written: each seal over the records that its cut covers and no cut of its
series before. Whoever changes, deletes or slips in a sealed record breaks it, and verify() says where.';
COMMENT ON COLUMN billing.seals.id IS 'Counted from 1, without a gap.';
COMMENT ON COLUMN billing.seals.series IS 'Of what: usage_records 2025-11 (a month), credit_entries, audit_log.';
COMMENT ON COLUMN billing.seals.month IS 'First day of the month of usage_records; NULL for the others.';
COMMENT ON COLUMN billing.seals.cut IS 'Which records were seen, for billing.covers.';
COMMENT ON COLUMN billing.seals.records IS 'How many of them no seal had before.';
COMMENT ON COLUMN billing.seals.sealed_at IS 'When.';
COMMENT ON COLUMN billing.seals.content_hash IS
'sha256 over the sha256 of each record, in order of id. Of usage records without
destination, resource_id and metadata, which may be forgotten.';
COMMENT ON COLUMN billing.seals.chain_hash IS
'sha256 over the chain_hash before (of the first: 32 zero bytes), the columns of this seal, and content_hash.';
COMMENT ON COLUMN billing.seals.ids IS 'The records, to say which one it is that changed.';
COMMENT ON COLUMN billing.seals.marks IS 'The first 32 bits of the hash of each.';

CREATE TABLE billing.seal_rounds (
    series text NOT NULL CONSTRAINT seal_rounds_pkey PRIMARY KEY,
    looked_at timestamptz NOT NULL,
    inserted bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE billing.seal_rounds IS 'When seal() last read what: so that maintain() does not read a month that has nothing new. Nothing rests on it.';
COMMENT ON COLUMN billing.seal_rounds.series IS 'As seals.series.';
COMMENT ON COLUMN billing.seal_rounds.looked_at IS 'When all that was new was last sealed.';
COMMENT ON COLUMN billing.seal_rounds.inserted IS 'How many inserts PostgreSQL had counted for the table by then. -1: there is more to seal, even if nothing is inserted.';
