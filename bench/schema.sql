-- The variants that `public.calls`, metered by the product, is compared with. Each has a table like it.
CREATE SCHEMA bench;
CREATE TABLE bench.untracked (LIKE public.calls INCLUDING ALL);
CREATE TABLE bench.empty_row (LIKE public.calls INCLUDING ALL);
CREATE TABLE bench.empty_statement (LIKE public.calls INCLUDING ALL);
CREATE TABLE bench.floor (LIKE public.calls INCLUDING ALL);
CREATE TABLE bench.obvious (LIKE public.calls INCLUDING ALL);
CREATE TABLE bench.application (LIKE public.calls INCLUDING ALL);

-- The columns and the keys of usage_records, in one piece, without the rules in its domains.
CREATE TABLE bench.floor_records (LIKE billing.usage_records INCLUDING DEFAULTS INCLUDING INDEXES);
DO $$
DECLARE
    v_change text;
BEGIN
    FOR v_change IN
        SELECT format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', a.attrelid::regclass, a.attname, t.typbasetype::regtype)
        FROM pg_attribute AS a
        INNER JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = 'bench.floor_records'::regclass
            AND t.typtype = 'd'
    LOOP
        EXECUTE v_change;
    END LOOP;
END;
$$;
CREATE TABLE bench.obvious_records (LIKE bench.floor_records INCLUDING ALL);
CREATE TABLE bench.application_records (LIKE bench.floor_records INCLUDING ALL);

-- empty: what any trigger costs, by row with a condition and by statement with its transition tables.
CREATE FUNCTION bench.do_nothing()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN NULL;
END;
$$;

CREATE TRIGGER do_nothing
AFTER UPDATE ON bench.empty_row
FOR EACH ROW WHEN (NEW.status = 'completed' AND OLD.status <> 'completed')
EXECUTE FUNCTION bench.do_nothing();

CREATE TRIGGER do_nothing
AFTER UPDATE ON bench.empty_statement
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION bench.do_nothing();

-- floor: one bare INSERT of the row that the product would write; nothing is looked up.
CREATE FUNCTION bench.record_floor()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO bench.floor_records (
        tenant_id, source_id, rate_id, occurred_at, usage_date, source_table, channel, resource_type, resource_id,
        quantity, unit_cost, total_cost, currency, seconds, billed_quantity, destination
    )
    VALUES (
        NEW.tenant_id, NEW.id, 1, NEW.answered_at, NEW.answered_at::date, 'calls', 'voice', 'minute', NEW.call_sid,
        NEW.duration_seconds / 60, 0.015, NEW.duration_seconds * 0.015 / 60, 'USD', NEW.duration_seconds,
        NEW.duration_seconds / 60, NEW.to_number
    );
    RETURN NULL;
END;
$$;

CREATE TRIGGER record_floor
AFTER UPDATE ON bench.floor
FOR EACH ROW WHEN (NEW.status = 'completed' AND OLD.status <> 'completed')
EXECUTE FUNCTION bench.record_floor();

-- obvious: what one would write first. Look up the price, insert, and keep the day's row.
CREATE TABLE bench.obvious_days (
    tenant_id bigint NOT NULL,
    summary_date date NOT NULL,
    channel text NOT NULL,
    resource_type text NOT NULL,
    total_quantity numeric NOT NULL,
    total_cost numeric NOT NULL,
    record_count bigint NOT NULL,
    PRIMARY KEY (tenant_id, summary_date, channel, resource_type)
);

CREATE TABLE bench.application_days (LIKE bench.obvious_days INCLUDING ALL);

CREATE FUNCTION bench.record_obvious()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_rate record;
    v_minutes numeric := NEW.duration_seconds / 60;
BEGIN
    SELECT r.id, r.unit_price, r.currency
    INTO v_rate
    FROM public.tenants AS t
    INNER JOIN bench.few_rates AS r
        ON r.tenant_id = t.id
        OR r.plan_id = t.plan_id
        OR (r.tenant_id IS NULL AND r.plan_id IS NULL)
    WHERE t.id = NEW.tenant_id
        AND r.channel = 'voice'
        AND r.resource_type = 'minute'
        AND ltrim(NEW.to_number, '+') LIKE r.prefix || '%'
        AND r.is_active
        AND r.effective_from <= NEW.answered_at
        AND (r.effective_until IS NULL OR r.effective_until > NEW.answered_at)
    ORDER BY r.tenant_id IS NULL, r.plan_id IS NULL, length(r.prefix) DESC
    LIMIT 1;

    INSERT INTO bench.obvious_records (
        tenant_id, source_id, rate_id, occurred_at, usage_date, source_table, channel, resource_type, resource_id,
        quantity, unit_cost, total_cost, currency, seconds, billed_quantity, destination
    )
    VALUES (
        NEW.tenant_id, NEW.id, v_rate.id, NEW.answered_at, NEW.answered_at::date, 'calls', 'voice', 'minute',
        NEW.call_sid, v_minutes, v_rate.unit_price, v_minutes * v_rate.unit_price, v_rate.currency,
        NEW.duration_seconds, v_minutes, NEW.to_number
    );

    INSERT INTO bench.obvious_days AS d
    VALUES (NEW.tenant_id, NEW.answered_at::date, 'voice', 'minute', v_minutes, v_minutes * v_rate.unit_price, 1)
    ON CONFLICT (tenant_id, summary_date, channel, resource_type) DO UPDATE
    SET
        total_quantity = d.total_quantity + EXCLUDED.total_quantity,
        total_cost = d.total_cost + EXCLUDED.total_cost,
        record_count = d.record_count + 1;
    RETURN NULL;
END;
$$;

CREATE TRIGGER record_obvious
AFTER UPDATE ON bench.obvious
FOR EACH ROW WHEN (NEW.status = 'completed' AND OLD.status <> 'completed')
EXECUTE FUNCTION bench.record_obvious();

-- A thousand tenants on four plans, three of which have a price of their own.
INSERT INTO public.tenants (id, company_name, plan_id)
SELECT id, 'Tenant ' || id, 1 + id % 4
FROM generate_series(1, 1000) AS id;
INSERT INTO billing.pricing_rates (plan_id, channel, resource_type, unit_price, effective_from) VALUES
    (2, 'voice', 'minute', 0.014, '1970-01-01 00:00:00+00'),
    (3, 'voice', 'minute', 0.013, '1970-01-01 00:00:00+00'),
    (4, 'voice', 'minute', 0.012, '1970-01-01 00:00:00+00');

-- The obvious trigger looks prices up in a table of these few: under a deck it would be measured in rows a minute.
CREATE TABLE bench.few_rates (LIKE billing.pricing_rates INCLUDING INDEXES);
INSERT INTO bench.few_rates OVERRIDING SYSTEM VALUE
SELECT * FROM billing.pricing_rates;

-- A thousand more on a plan with a deck of 36,000 prefixes, a thousand of which the calls meet.
INSERT INTO billing.pricing_plans (id, name, display_name) VALUES (5, 'deck', 'Plan with a deck');
INSERT INTO public.tenants (id, company_name, plan_id)
SELECT id, 'Tenant ' || id, 5
FROM generate_series(1001, 2000) AS id;
INSERT INTO billing.pricing_rates (plan_id, channel, resource_type, prefix, unit_price, effective_from)
SELECT 5, 'voice', 'minute', prefix, 0.01 + n * 0.000001, '1970-01-01 00:00:00+00'
FROM (
    SELECT n, '2' || n FROM generate_series(100000, 99999 + current_setting('bench.deck')::int) AS n
    UNION ALL
    SELECT n, '1415555' || lpad(n::text, 3, '0') FROM generate_series(0, 999) AS n
) AS deck (n, prefix);
