-- record and summarize: what rows are worth, written down once, and its daily sums.

CREATE TYPE billing.measurement AS (
    source_id bigint,
    part smallint,
    tenant_id bigint,
    channel text,
    resource_type text,
    resource_id text,
    quantity numeric,
    destination text,
    occurred_at timestamptz
);
COMMENT ON TYPE billing.measurement IS
'What one row deserves to be charged for, as a measure function says it. part numbers the charges of a row that
deserves several. quantity: seconds for minutes, else units of the resource. destination: E.164 without +, NULL:
none. occurred_at NULL: at the time of recording.';

CREATE TYPE billing.priced_usage AS (
    problem text,
    rate_id bigint,
    currency text,
    usage_date date,
    quantity numeric,
    billed_quantity numeric,
    unit_cost numeric,
    total_cost numeric
);
COMMENT ON TYPE billing.priced_usage IS
'What a quantity costs. problem: NULL, or the SQLSTATE that says why there is no price (the rest is then NULL).
quantity and billed_quantity in units of the resource, money in major units of currency.';

CREATE TABLE billing.metered_tables (
    source_table text NOT NULL CONSTRAINT metered_tables_pkey PRIMARY KEY,
    measure text NOT NULL,
    measure_call text NOT NULL,
    resource_column text,
    history_id bigint NOT NULL DEFAULT 0,
    metered_since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE billing.metered_tables IS 'The tables whose rows are billed, kept by meter_table and unmeter_table.';
COMMENT ON COLUMN billing.metered_tables.source_table IS 'The table, as usage_records.source_table names it (schema-qualified outside public).';
COMMENT ON COLUMN billing.metered_tables.measure IS 'The function that says what a row is worth.';
COMMENT ON COLUMN billing.metered_tables.measure_call IS 'That function called on a row with alias r: what triggers and sweeps evaluate.';
COMMENT ON COLUMN billing.metered_tables.resource_column IS 'The column behind resource_id (call_sid), by which record_usage finds the row; NULL: none.';
COMMENT ON COLUMN billing.metered_tables.history_id IS 'Rows up to this id were there before: backfill_usage bills them, attaching does not.';
COMMENT ON COLUMN billing.metered_tables.metered_since IS 'When the table was attached.';

CREATE SEQUENCE billing.usage_records_id_seq;

-- The rules of usage_records that need one column only are domains: PostgreSQL keeps a domain's rule ready for the
-- session, but reads a CHECK anew in every statement, which would cost more than the rest of the insert. The rules
-- over several columns (signs, revisions) are kept by the recorder, the only writer, and checked by verify().
CREATE DOMAIN billing.finite_numeric AS numeric
    CONSTRAINT finite_numeric_is_finite CHECK (VALUE > '-Infinity' AND VALUE < 'Infinity');
COMMENT ON DOMAIN billing.finite_numeric IS 'A number; neither NaN (NaN < Infinity is false) nor infinite.';
CREATE DOMAIN billing.price AS numeric CONSTRAINT price_is_an_amount CHECK (VALUE >= 0 AND VALUE < 'Infinity');
COMMENT ON DOMAIN billing.price IS 'An amount of money, not negative, finite.';
CREATE DOMAIN billing.record_kind AS text CONSTRAINT record_kind_is_known CHECK (VALUE IN ('charge', 'reversal'));
COMMENT ON DOMAIN billing.record_kind IS 'charge, or reversal: what takes a charge back.';
CREATE DOMAIN billing.finite_timestamp AS timestamptz
    CONSTRAINT finite_timestamp_is_finite CHECK (VALUE > '-infinity' AND VALUE < 'infinity');
COMMENT ON DOMAIN billing.finite_timestamp IS 'An instant.';

CREATE TABLE billing.usage_records (
    id bigint NOT NULL DEFAULT nextval('billing.usage_records_id_seq'),
    tenant_id bigint NOT NULL,
    source_id bigint,
    rate_id bigint NOT NULL,
    occurred_at billing.finite_timestamp NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    usage_date date NOT NULL,
    revision integer NOT NULL DEFAULT 1,
    part smallint NOT NULL DEFAULT 1,
    kind billing.record_kind NOT NULL DEFAULT 'charge',
    source_table text,
    channel text NOT NULL,
    resource_type text NOT NULL,
    resource_id text NOT NULL,
    quantity billing.finite_numeric NOT NULL,
    unit_cost billing.price NOT NULL,
    total_cost billing.finite_numeric NOT NULL,
    currency text NOT NULL,
    seconds numeric,
    billed_quantity numeric NOT NULL,
    destination text,
    metadata jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT usage_records_pkey PRIMARY KEY (tenant_id, created_at, id, usage_date),
    -- Exactly once: two transactions that bill the same row for the same day meet here, at every isolation level.
    CONSTRAINT usage_records_once UNIQUE (source_id, source_table, part, usage_date, revision, tenant_id)
) PARTITION BY RANGE (usage_date);
ALTER SEQUENCE billing.usage_records_id_seq OWNED BY billing.usage_records.id;
-- A month nobody made a partition for is still written: it lands here, and maintain() moves it out.
CREATE TABLE billing.usage_records_default PARTITION OF billing.usage_records DEFAULT;
COMMENT ON TABLE billing.usage_records_default IS 'Usage of months that have no partition of their own yet; maintain() moves it out.';
COMMENT ON TABLE billing.usage_records IS
'What was billed, append-only. What a source row has been billed for is the sum of its records: a correction adds a
reversal and a new charge. Partitioned by month of usage_date.';
COMMENT ON COLUMN billing.usage_records.id IS 'The record; unique over all partitions, in order of writing but for gaps.';
COMMENT ON COLUMN billing.usage_records.tenant_id IS 'Who is billed.';
COMMENT ON COLUMN billing.usage_records.source_id IS 'id of the row this was billed for; NULL: recorded by record_usage.';
COMMENT ON COLUMN billing.usage_records.rate_id IS 'The price applied: pricing_rates.id.';
COMMENT ON COLUMN billing.usage_records.occurred_at IS 'When the usage happened; decides price and day.';
COMMENT ON COLUMN billing.usage_records.created_at IS 'When the record was written.';
COMMENT ON COLUMN billing.usage_records.usage_date IS 'Day of occurred_at in the tenant''s time zone.';
COMMENT ON COLUMN billing.usage_records.revision IS 'Counts the records of one source row and usage_date: odd are charges, even their reversals.';
COMMENT ON COLUMN billing.usage_records.part IS 'Which of the row''s charges, where a row deserves several; else 1.';
COMMENT ON COLUMN billing.usage_records.kind IS 'charge, or reversal (negative quantity and cost).';
COMMENT ON COLUMN billing.usage_records.source_table IS 'Table of the source row: calls, messages, or another that is metered; NULL: recorded by record_usage.';
COMMENT ON COLUMN billing.usage_records.channel IS 'voice, sms, email, whatsapp, social, ...';
COMMENT ON COLUMN billing.usage_records.resource_type IS 'minute, message, mms, ...';
COMMENT ON COLUMN billing.usage_records.resource_id IS 'call_sid or message_sid, the row''s id where there is none, or what record_usage was given.';
COMMENT ON COLUMN billing.usage_records.quantity IS 'Measured, in units of the resource: minutes (seconds / 60), messages, recipients.';
COMMENT ON COLUMN billing.usage_records.unit_cost IS 'Price of one unit, major units of currency.';
COMMENT ON COLUMN billing.usage_records.total_cost IS 'Exact cost, rounded once to 10 decimals, half away from zero, major units of currency.';
COMMENT ON COLUMN billing.usage_records.currency IS 'ISO 4217.';
COMMENT ON COLUMN billing.usage_records.seconds IS 'Measured seconds, for minutes; NULL for everything else.';
COMMENT ON COLUMN billing.usage_records.billed_quantity IS 'Quantity after billing increments, in units of the resource.';
COMMENT ON COLUMN billing.usage_records.destination IS 'The number or address that decided the price, digits without +; NULL: none.';
COMMENT ON COLUMN billing.usage_records.metadata IS 'What record_usage was given; {} for rows, which say it themselves.';

CREATE TABLE billing.detached_months (
    month date NOT NULL CONSTRAINT detached_months_pkey PRIMARY KEY
        CONSTRAINT detached_months_first_of_month CHECK (month = date_trunc('month', month)::date),
    table_name text NOT NULL,
    detached_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE billing.detached_months IS
'Months whose records were taken out of usage_records. Usage of such a month is set aside (UB006), since nobody can
see whether it is already billed.';
COMMENT ON COLUMN billing.detached_months.month IS 'First day of the month.';
COMMENT ON COLUMN billing.detached_months.table_name IS 'The table that holds its records.';
COMMENT ON COLUMN billing.detached_months.detached_at IS 'When it was detached.';

CREATE TABLE billing.direct_usage (
    tenant_id bigint NOT NULL,
    channel text NOT NULL,
    resource_type text NOT NULL,
    resource_id text NOT NULL,
    record_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    usage_date date NOT NULL,
    reversed_at timestamptz,
    CONSTRAINT direct_usage_pkey PRIMARY KEY (tenant_id, channel, resource_type, resource_id)
);
COMMENT ON TABLE billing.direct_usage IS
'Resources billed by record_usage: what makes recording by hand idempotent over all months, and lets the row of the
same resource find that it is billed already.';
COMMENT ON COLUMN billing.direct_usage.tenant_id IS 'Who was billed.';
COMMENT ON COLUMN billing.direct_usage.channel IS 'As usage_records.channel.';
COMMENT ON COLUMN billing.direct_usage.resource_type IS 'As usage_records.resource_type.';
COMMENT ON COLUMN billing.direct_usage.resource_id IS 'As usage_records.resource_id.';
COMMENT ON COLUMN billing.direct_usage.record_id IS 'The charge: usage_records.id.';
COMMENT ON COLUMN billing.direct_usage.created_at IS 'Its created_at, by which it is found.';
COMMENT ON COLUMN billing.direct_usage.usage_date IS 'Its day, which tells its partition.';
COMMENT ON COLUMN billing.direct_usage.reversed_at IS 'When the row of the resource took over with other figures; NULL: the charge stands.';

CREATE TABLE billing.unrated_usage (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT unrated_usage_pkey PRIMARY KEY,
    source_table text,
    source_id bigint,
    part smallint,
    tenant_id bigint,
    sqlstate text,
    reason text,
    context jsonb,
    attempts integer DEFAULT 1,
    first_seen_at timestamptz DEFAULT clock_timestamp(),
    last_tried_at timestamptz DEFAULT clock_timestamp(),
    resolved_at timestamptz
);
CREATE INDEX unrated_usage_open_idx ON billing.unrated_usage (source_table, source_id) WHERE resolved_at IS NULL;
COMMENT ON TABLE billing.unrated_usage IS
'Usage that could not be rated or recorded, kept until it is. It has no constraint that could refuse a row: what
arrives here has already gone wrong once.';
COMMENT ON COLUMN billing.unrated_usage.id IS 'The entry.';
COMMENT ON COLUMN billing.unrated_usage.source_table IS 'As usage_records.source_table.';
COMMENT ON COLUMN billing.unrated_usage.source_id IS 'As usage_records.source_id.';
COMMENT ON COLUMN billing.unrated_usage.part IS 'As usage_records.part; NULL: the whole row.';
COMMENT ON COLUMN billing.unrated_usage.tenant_id IS 'Whom the row names; NULL where it could not even be measured.';
COMMENT ON COLUMN billing.unrated_usage.sqlstate IS 'Why: UB001 no rate, UB002 unknown tenant, UB003 bad quantity, or what PostgreSQL said.';
COMMENT ON COLUMN billing.unrated_usage.reason IS 'The same in words, without personal data.';
COMMENT ON COLUMN billing.unrated_usage.context IS 'Channel, resource and measured quantity, or where in the code it failed.';
COMMENT ON COLUMN billing.unrated_usage.attempts IS 'How often it was tried.';
COMMENT ON COLUMN billing.unrated_usage.first_seen_at IS 'When it was set aside.';
COMMENT ON COLUMN billing.unrated_usage.last_tried_at IS 'When it was last tried.';
COMMENT ON COLUMN billing.unrated_usage.resolved_at IS 'When it was recorded, or came to deserve nothing; NULL: still open.';

CREATE TABLE billing.usage_sums (
    tenant_id bigint NOT NULL,
    summary_date date NOT NULL,
    channel text NOT NULL,
    resource_type text NOT NULL,
    total_quantity numeric NOT NULL,
    total_cost numeric NOT NULL,
    record_count bigint NOT NULL,
    CONSTRAINT usage_sums_pkey PRIMARY KEY (tenant_id, summary_date, channel, resource_type)
) WITH (fillfactor = 80);
COMMENT ON TABLE billing.usage_sums IS
'Daily sums as far as merge_summaries has come; the rest stands in usage_deltas. Read usage_summaries, which adds both.';
COMMENT ON COLUMN billing.usage_sums.tenant_id IS 'Whose usage.';
COMMENT ON COLUMN billing.usage_sums.summary_date IS 'Sum of usage_records of this usage_date.';
COMMENT ON COLUMN billing.usage_sums.channel IS 'As usage_records.channel.';
COMMENT ON COLUMN billing.usage_sums.resource_type IS 'As usage_records.resource_type.';
COMMENT ON COLUMN billing.usage_sums.total_quantity IS 'Exact sum of quantity, reversals taken off.';
COMMENT ON COLUMN billing.usage_sums.total_cost IS 'Exact sum of total_cost, reversals taken off.';
COMMENT ON COLUMN billing.usage_sums.record_count IS 'Charges minus reversals.';

-- Every transaction adds rows of its own here and touches nobody else's, so writers never wait for each other.
CREATE TABLE billing.usage_deltas (
    tenant_id bigint NOT NULL,
    summary_date date NOT NULL,
    record_count integer NOT NULL,
    channel text NOT NULL,
    resource_type text NOT NULL,
    total_quantity numeric NOT NULL,
    total_cost numeric NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX usage_deltas_tenant_idx ON billing.usage_deltas (tenant_id, summary_date);
COMMENT ON TABLE billing.usage_deltas IS
'What is not yet in usage_sums: one row for each group a statement recorded, until merge_summaries adds it up.';
COMMENT ON COLUMN billing.usage_deltas.tenant_id IS 'As usage_sums.tenant_id.';
COMMENT ON COLUMN billing.usage_deltas.summary_date IS 'As usage_sums.summary_date.';
COMMENT ON COLUMN billing.usage_deltas.record_count IS 'Charges minus reversals.';
COMMENT ON COLUMN billing.usage_deltas.channel IS 'As usage_sums.channel.';
COMMENT ON COLUMN billing.usage_deltas.resource_type IS 'As usage_sums.resource_type.';
COMMENT ON COLUMN billing.usage_deltas.total_quantity IS 'To add to usage_sums.total_quantity.';
COMMENT ON COLUMN billing.usage_deltas.total_cost IS 'To add to usage_sums.total_cost.';
