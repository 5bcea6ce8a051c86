-- report: why a usage record costs what it costs.
CREATE OR REPLACE FUNCTION billing.explain_rating(p_record_id bigint, p_tenant_id bigint DEFAULT NULL)
RETURNS TABLE (step integer, subject text, detail text, amount numeric)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_record billing.usage_records;
    v_reversal bigint;
    v_is_reversed boolean;
    v_is_period_priced boolean;
    v_sign integer;
    v_cycle_day integer;
    v_period_start date;
    v_total numeric := 0;
BEGIN
    IF p_tenant_id IS NULL THEN
        SELECT * INTO v_record FROM billing.usage_records AS r WHERE r.id = p_record_id;
    ELSE
        SELECT * INTO v_record FROM billing.usage_records AS r WHERE r.tenant_id = p_tenant_id AND r.id = p_record_id;
    END IF;
    IF v_record.id IS NULL THEN
        RAISE EXCEPTION 'no such record'
            USING ERRCODE = 'UB011',
                DETAIL = format('There is no usage record %s%s.', COALESCE(p_record_id::text, 'NULL'), ' of tenant ' || p_tenant_id),
                HINT = 'billing.usage_records lists the records; those of a detached month are in the table that detached_months names.';
    END IF;

    v_sign := CASE v_record.kind WHEN 'reversal' THEN -1 ELSE 1 END;
    -- Its charge or its reversal, whichever the other is, by the unique key of the row's chain.
    SELECT r.id
    INTO v_reversal
    FROM billing.usage_records AS r
    WHERE r.source_table = v_record.source_table
        AND r.source_id = v_record.source_id
        AND r.part = v_record.part
        AND r.usage_date = v_record.usage_date
        AND r.tenant_id = v_record.tenant_id
        AND r.revision = v_record.revision + v_sign;
    v_is_reversed := v_reversal IS NOT NULL OR v_record.source_id IS NULL AND EXISTS (
        SELECT
        FROM billing.direct_usage AS d
        WHERE d.tenant_id = v_record.tenant_id
            AND d.record_id = v_record.id
            AND d.channel = v_record.channel
            AND d.resource_type = v_record.resource_type
            AND d.resource_id = v_record.resource_id
            AND d.reversed_at IS NOT NULL
    );
    step := 1;
    subject := 'record';
    detail := format(
        '%s %s of %s, written %s; ', v_record.kind, v_record.id,
        CASE
            WHEN v_record.source_id IS NULL THEN v_record.resource_id || ', recorded by hand'
            ELSE format('%s row %s (%s)', v_record.source_table, v_record.source_id, v_record.resource_id)
        END,
        billing.show_time(v_record.created_at, 'UTC')
    ) || CASE
        WHEN v_sign = -1 THEN format('it takes back what %s had cost, so every amount here is the other way round',
            COALESCE('charge ' || v_reversal, 'the charge'))
        WHEN v_is_reversed THEN 'taken back since' || COALESCE(' by reversal ' || v_reversal, '')
        ELSE 'it stands'
    END;
    RETURN NEXT;

    SELECT t.billing_cycle_day INTO v_cycle_day FROM billing.find_tenant(v_record.tenant_id) AS t;
    IF v_cycle_day IS NOT NULL THEN
        v_period_start := billing.period_starting_by(v_record.usage_date, v_cycle_day);
    END IF;
    FOR subject, detail, amount IN
        SELECT e.subject, e.detail, trim_scale(v_sign * e.amount)
        FROM billing.explain_usage(
            v_record.tenant_id, v_record.channel, v_record.resource_type,
            abs(COALESCE(v_record.seconds, billing.in_seconds(v_record.resource_type, v_record.quantity))),
            v_record.destination, v_record.occurred_at, v_record.rate_id,
            v_period_start, billing.period_starting_by(v_period_start + 32, v_cycle_day) - 1,
            abs(v_record.billed_quantity), v_sign = 1 AND NOT v_is_reversed
        ) AS e
    LOOP
        step := step + 1;
        v_total := v_total + COALESCE(amount, 0);
        RETURN NEXT;
    END LOOP;

    v_is_period_priced := EXISTS (
        SELECT
        FROM billing.pricing_rates AS r
        WHERE r.id = v_record.rate_id
            AND billing.is_period_priced(r.charge_model)
    );
    IF v_is_period_priced AND v_record.total_cost = 0 THEN
        step := step + 1;
        subject := 'on the invoice';
        detail := 'the period''s whole quantity is charged there, so a record itself costs nothing';
        amount := trim_scale(-v_total);
        RETURN NEXT;
    ELSIF v_total <> v_record.total_cost THEN
        step := step + 1;
        subject := 'difference';
        detail := 'the terms of the rate are not those any more by which it was charged';
        amount := trim_scale(v_record.total_cost - v_total);
        RETURN NEXT;
    END IF;
    step := step + 1;
    subject := 'total';
    detail := v_record.currency || CASE
        WHEN v_is_period_priced THEN ', as charged'
        ELSE ', as charged; an invoice line adds such totals up exactly and is rounded once, to the minor unit of the currency'
    END;
    amount := trim_scale(v_record.total_cost);
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.explain_rating IS
'Why usage record p_record_id costs what it costs, by the rate and at the time that it was charged by: the record, tenant and
day, cards and prefix, rate, increments, bands, steps or tiers, fees, roundings, in rows to be read in order. amount: what a
row adds, NULL where it is no amount; the last is their sum, the record''s total_cost. Major units of the record''s
currency. p_tenant_id NULL: whosever it is; every month is then looked through, since records are kept by tenant. Raises UB011.';
