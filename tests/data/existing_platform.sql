-- A communications platform that has been running for years: one table per channel, billing tables of its own from two
-- earlier attempts, triggers and foreign keys, and a history that nobody was billed for.

CREATE TABLE tenants (
    id bigserial PRIMARY KEY,
    uuid uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    name varchar(255) NOT NULL,
    slug varchar(100) UNIQUE NOT NULL,
    status varchar(20) NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'trial', 'cancelled')),
    plan varchar(50) NOT NULL DEFAULT 'trial' CHECK (plan IN ('trial', 'starter', 'professional', 'enterprise')),
    stripe_customer_id varchar(255),
    billing_email varchar(255),
    max_users integer DEFAULT 10,
    settings jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

CREATE TABLE calls (
    id bigserial PRIMARY KEY,
    uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant_id bigint NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    call_sid varchar(100) UNIQUE NOT NULL,
    parent_call_sid varchar(100),
    carrier_call_sid varchar(100),
    direction varchar(20) NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    call_type varchar(20),
    from_number varchar(20) NOT NULL,
    to_number varchar(20) NOT NULL,
    status varchar(20) NOT NULL DEFAULT 'initiated',
    initiated_at timestamptz NOT NULL DEFAULT now(),
    ringing_at timestamptz,
    answered_at timestamptz,
    ended_at timestamptz,
    duration_seconds integer,
    billable_seconds integer,
    recording_url text,
    transcription_text text,
    cost_cents integer,
    hangup_cause varchar(50),
    hangup_by varchar(20),
    metadata jsonb NOT NULL DEFAULT '{}',
    tags text[],
    carrier_id bigint,
    carrier_rate numeric(10, 6),
    carrier_cost numeric(10, 4),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_calls_tenant ON calls (tenant_id, created_at DESC);

CREATE TABLE call_events (
    id bigserial PRIMARY KEY,
    call_id bigint NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    status varchar(20) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sms_messages (
    id bigserial PRIMARY KEY,
    message_sid varchar(100) UNIQUE NOT NULL,
    tenant_id bigint NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    direction varchar(20) NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    from_number varchar(20) NOT NULL,
    to_number varchar(20) NOT NULL,
    body text,
    media_urls text DEFAULT '[]',
    num_media integer DEFAULT 0,
    num_segments integer DEFAULT 1,
    status varchar(20) NOT NULL DEFAULT 'queued',
    sent_at timestamptz,
    delivered_at timestamptz,
    failed_at timestamptz,
    error_code varchar(20),
    metadata jsonb DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE emails (
    id bigserial PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    message_id varchar(255) UNIQUE NOT NULL,
    direction varchar(20) NOT NULL DEFAULT 'outbound',
    from_email varchar(255) NOT NULL,
    to_email varchar(255) NOT NULL,
    cc_emails text[],
    bcc_emails text[],
    subject text,
    status varchar(20) NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'sent', 'delivered', 'bounced', 'failed', 'opened', 'clicked')),
    sent_at timestamptz,
    delivered_at timestamptz,
    opened_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TYPE whatsapp_status AS ENUM ('pending', 'sent', 'delivered', 'read', 'failed');
CREATE TABLE whatsapp_messages (
    id serial PRIMARY KEY,
    tenant_id integer NOT NULL,
    message_id varchar(255) UNIQUE NOT NULL,
    wamid varchar(255),
    direction varchar(20) NOT NULL,
    from_number varchar(20) NOT NULL,
    to_number varchar(20) NOT NULL,
    content jsonb,
    status whatsapp_status NOT NULL DEFAULT 'pending',
    conversation_category varchar(50)
        CHECK (conversation_category IN ('authentication', 'marketing', 'utility', 'service')),
    conversation_origin varchar(50) CHECK (conversation_origin IN ('business_initiated', 'user_initiated')),
    sent_at timestamp,
    delivered_at timestamp,
    read_at timestamp,
    failed_at timestamp,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_whatsapp_wamid ON whatsapp_messages (wamid);

CREATE TABLE social_messages (
    id bigserial PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants (id),
    message_id varchar(255),
    platform varchar(20) NOT NULL,
    direction varchar(20) NOT NULL,
    content text,
    status varchar(20) NOT NULL DEFAULT 'pending',
    sent_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Triggers of its own.
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END;
$$;
CREATE TRIGGER tenants_touch BEFORE UPDATE ON tenants FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER calls_touch BEFORE UPDATE ON calls FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER sms_messages_touch BEFORE UPDATE ON sms_messages FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION log_call_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO call_events (call_id, status) VALUES (NEW.id, NEW.status);
    RETURN NULL;
END;
$$;
CREATE TRIGGER calls_log AFTER INSERT OR UPDATE OF status ON calls FOR EACH ROW EXECUTE FUNCTION log_call_event();

-- The first attempt at billing. Its tables of invoices came first, and won.
CREATE TABLE rate_tables (
    id bigserial PRIMARY KEY,
    prefix varchar(20) NOT NULL,
    cost_per_minute numeric(10, 6) NOT NULL,
    connection_fee numeric(10, 4) DEFAULT 0,
    minimum_duration integer DEFAULT 0,
    billing_increment integer DEFAULT 60,
    carrier_priority integer DEFAULT 1
);
INSERT INTO rate_tables (prefix, cost_per_minute) VALUES ('1', 0.012), ('44', 0.018);
CREATE TABLE carrier_rates (id bigserial PRIMARY KEY, prefix varchar(20) NOT NULL, rate numeric(10, 6) NOT NULL);
INSERT INTO carrier_rates (prefix, rate) VALUES ('+1', 0.008), ('+44', 0.011);
CREATE TABLE invoices (
    id bigserial PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants (id),
    stripe_invoice_id varchar(255) UNIQUE,
    amount_cents integer NOT NULL,
    status varchar(20) NOT NULL
);
CREATE TABLE invoice_items (id bigserial PRIMARY KEY, invoice_id bigint REFERENCES invoices (id), amount_cents integer);

-- The second.
CREATE TABLE pricing_plans (
    id bigserial PRIMARY KEY,
    name varchar(50) UNIQUE NOT NULL,
    display_name varchar(100) NOT NULL,
    description text,
    monthly_base_fee numeric(10, 2) NOT NULL DEFAULT 0,
    included_credits numeric(10, 2) NOT NULL DEFAULT 0,
    is_active boolean DEFAULT true
);
INSERT INTO pricing_plans (name, display_name, monthly_base_fee, included_credits) VALUES
    ('starter', 'Starter Plan', 29, 10), ('free_trial', 'Free Trial', 0, 50);
CREATE TABLE pricing_rates (
    id bigserial PRIMARY KEY,
    plan_id bigint REFERENCES pricing_plans (id),
    channel varchar(20) NOT NULL,
    resource_type varchar(50) NOT NULL,
    unit_price numeric(10, 6) NOT NULL,
    currency varchar(3) DEFAULT 'USD',
    is_active boolean DEFAULT true,
    effective_from date NOT NULL DEFAULT CURRENT_DATE,
    effective_until date,
    UNIQUE (plan_id, channel, resource_type, effective_from)
);
INSERT INTO pricing_rates (plan_id, channel, resource_type, unit_price) VALUES (1, 'voice', 'minute', 9.99);
CREATE TABLE usage_records (
    id bigserial PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants (id),
    channel varchar(20) NOT NULL,
    resource_type varchar(50) NOT NULL,
    resource_id bigint,
    quantity numeric(10, 4) NOT NULL,
    unit_cost numeric(10, 6) NOT NULL,
    total_cost numeric(10, 4) NOT NULL,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    period_start date,
    period_end date
);
CREATE TABLE usage_summaries (
    id bigserial PRIMARY KEY,
    tenant_id bigint NOT NULL,
    summary_date date NOT NULL,
    channel varchar(20) NOT NULL,
    resource_type varchar(50) NOT NULL,
    total_quantity numeric(12, 4),
    total_cost numeric(12, 4),
    record_count integer,
    UNIQUE (tenant_id, summary_date, channel, resource_type)
);
CREATE TABLE invoice_line_items (
    id bigserial PRIMARY KEY,
    invoice_id bigint REFERENCES invoices (id),
    channel varchar(20),
    description text,
    amount numeric(12, 4)
);
CREATE FUNCTION get_current_period_usage(p_tenant_id bigint) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT sum(total_cost) FROM usage_records WHERE tenant_id = p_tenant_id;
$$;

-- Its history.
INSERT INTO tenants (id, name, slug, status, plan, created_at) VALUES
    (1, 'Acme', 'acme', 'active', 'starter', '2023-01-01 00:00:00+00'),
    (2, 'Globex', 'globex', 'active', 'enterprise', '2023-01-01 00:00:00+00'),
    (3, 'Initech', 'initech', 'trial', 'trial', '2025-10-01 00:00:00+00');
SELECT setval('tenants_id_seq', 3);
INSERT INTO usage_records (tenant_id, channel, resource_type, resource_id, quantity, unit_cost, total_cost)
VALUES (1, 'voice', 'minute', 1, 2.0833, 0.015, 0.0312), (1, 'voice', 'minute', 1, 2.0833, 0.015, 0.0312);
INSERT INTO usage_summaries (tenant_id, summary_date, channel, resource_type, total_quantity, total_cost, record_count)
VALUES (1, '2025-10-14', 'voice', 'minute', 2.0833, 0.0312, 1);
INSERT INTO invoices (tenant_id, stripe_invoice_id, amount_cents, status) VALUES (1, 'in_1', 1200, 'open');
INSERT INTO invoice_line_items (invoice_id, channel, description, amount) VALUES (1, 'voice', 'Voice Calls', 12);
INSERT INTO calls (
    id, tenant_id, call_sid, direction, from_number, to_number, status, initiated_at, answered_at, duration_seconds, billable_seconds
)
VALUES
    (1, 1, 'CA1', 'outbound', '+15550001111', '+15559876543', 'completed', '2025-10-14 10:00+00', '2025-10-14 10:00:05+00', 125, NULL),
    (2, 1, 'CA2', 'inbound', '+15559876543', '+15550001111', 'completed', '2025-10-14 11:00+00', '2025-10-14 11:00:05+00', 60, NULL),
    (3, 1, 'CA3', 'outbound', '+15550001111', '+15559876543', 'no-answer', '2025-10-14 12:00+00', NULL, NULL, NULL),
    (4, 2, 'CA4', 'outbound', '+15550001111', '+442071838750', 'completed', '2025-02-03 10:00+00', '2025-02-03 10:00:05+00', 90, 60),
    (5, 2, 'CA5', 'outbound', '+15550001111', '+15559876543', 'completed', '2025-10-14 13:00+00', NULL, NULL, NULL),
    (6, 3, 'CA6', 'outbound', '+15550001111', '+15559876543', 'in-progress', '2025-10-31 23:59+00', '2025-10-31 23:59:30+00', NULL, NULL);
SELECT setval('calls_id_seq', 6);
INSERT INTO sms_messages (id, message_sid, tenant_id, direction, from_number, to_number, body, media_urls, num_segments, status, sent_at)
VALUES
    (1, 'SM1', 1, 'outbound', '+15550001111', '+15559876543', 'Hi', '[]', 1, 'delivered', '2025-10-14 10:00+00'),
    (2, 'SM2', 1, 'outbound', '+15550001111', '+15559876543', 'Look', '["https://example.org/a.png"]', 1, 'sent', '2025-10-14 10:00+00'),
    (3, 'SM3', 1, 'inbound', '+15559876543', '+15550001111', 'Hello', '[]', 1, 'received', NULL),
    (4, 'SM4', 2, 'outbound', '+15550001111', '+15559876543', 'Hi', '[]', 1, 'undelivered', '2025-10-14 10:00+00');
SELECT setval('sms_messages_id_seq', 4);
INSERT INTO emails (id, tenant_id, message_id, from_email, to_email, cc_emails, bcc_emails, status, sent_at) VALUES
    (1, 1, 'EM1', 'me@acme.test', 'a@example.org', '{b@example.org,c@example.org}', '{d@example.org}', 'opened', '2025-10-14 10:00+00'),
    (2, 2, 'EM2', 'me@globex.test', 'a@example.org', NULL, NULL, 'bounced', '2025-10-14 10:00+00');
SELECT setval('emails_id_seq', 2);
INSERT INTO whatsapp_messages (
    id, tenant_id, message_id, wamid, direction, from_number, to_number, status, conversation_category, sent_at
)
VALUES
    (1, 1, 'WM1', 'wamid.1', 'outbound', '+15550001111', '+15559876543', 'read', 'marketing', '2025-09-30 23:30:00'),
    (2, 1, 'WM2', 'wamid.2', 'inbound', '+15559876543', '+15550001111', 'delivered', 'service', '2025-10-14 10:00:00');
SELECT setval('whatsapp_messages_id_seq', 2);
INSERT INTO social_messages (id, tenant_id, message_id, platform, direction, status, sent_at) VALUES
    (1, 2, 'SO1', 'facebook', 'outbound', 'sent', '2025-10-14 10:00+00');
SELECT setval('social_messages_id_seq', 1);
