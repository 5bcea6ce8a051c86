-- record: the usual case, one row that comes to be worth something for the first time. Reads its price, inserts, no more.
CREATE OR REPLACE FUNCTION billing.record_first_charge(
    p_source_table text,
    p_source_id bigint,
    p_part smallint,
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_resource_id text,
    p_measured numeric,
    p_destination text,
    p_occurred_at timestamptz
)
RETURNS void
LANGUAGE plpgsql
AS $$
-- The same as record_first_charges does for a set, and what is not usual goes there: every expression here is a cost to
-- each billed row, for PostgreSQL prepares it anew in each transaction.
DECLARE
    v_occurred_at timestamptz := COALESCE(p_occurred_at, statement_timestamp());
    v_per numeric := CASE WHEN p_resource_type = 'minute' THEN 60 ELSE 1 END;
    v_usage_date date;
    v_currency text;
    v_cards bigint[];
    v_card bigint;
    v_looks_closer boolean;
    v_rate_id bigint;
    v_is_priced boolean;
    v_is_plain boolean;
    v_unit_price numeric;
    v_quantity numeric;
    v_billed_quantity numeric;
    v_billed numeric;
    v_total_cost numeric;
    v_period_rate_id bigint;
    v_priced billing.priced_usage;
BEGIN
    SELECT
        t.cards, t.currency, (v_occurred_at AT TIME ZONE t.timezone)::date, trim_scale(p_measured / v_per),
        t.looks_closer OR current_setting('transaction_isolation') <> 'read committed'
    INTO v_cards, v_currency, v_usage_date, v_quantity, v_looks_closer
    FROM billing.tenant_terms AS t
    WHERE t.tenant_id = p_tenant_id
        AND t.valid_from <= v_occurred_at
        AND p_source_id IS NOT NULL
        AND p_measured > 0
        AND p_measured <= billing.largest_quantity('minute')
    ORDER BY t.valid_from DESC
    LIMIT 1;

    -- The first card with a price here and now; most tenants have only one card.
    FOREACH v_card IN ARRAY COALESCE(v_cards, '{}') LOOP
        SELECT
            p.rate_id, p.currency = v_currency, p.unit_price,
            p.is_plain AND scale(p_measured) = 0,
            -- cost_per_unit without fee and minimum.
            round(p_measured * p.unit_price * 1.00000000000000 / v_per, 10)
        INTO v_rate_id, v_is_priced, v_unit_price, v_is_plain, v_total_cost
        FROM billing.resolved_prices AS p
        WHERE p.card = v_card
            AND p.channel = p_channel
            AND p.resource_type = p_resource_type
            AND p.lo <= COALESCE(p_destination, '')
            AND p.valid_from <= v_occurred_at
        ORDER BY p.lo DESC, p.valid_from DESC
        LIMIT 1;
        EXIT WHEN v_is_priced;
    END LOOP;

    IF v_is_priced IS NOT TRUE THEN
        PERFORM billing.record_first_charges(p_source_table, ARRAY[(
            p_source_id, p_part, p_tenant_id, p_channel, p_resource_type, p_resource_id, p_measured, p_destination,
            p_occurred_at
        )::billing.measurement]);
        RETURN;
    ELSIF v_is_plain THEN
        v_billed := p_measured;
        v_billed_quantity := v_quantity;
    ELSE
        v_priced := billing.reprice_usage(v_rate_id, p_resource_type, p_measured, v_occurred_at);
        v_billed := billing.in_seconds(p_resource_type, v_priced.billed_quantity);
        v_billed_quantity := v_priced.billed_quantity;
        v_total_cost := v_priced.total_cost;
        v_period_rate_id := v_priced.period_rate_id;
    END IF;

    INSERT INTO billing.usage_records (
        tenant_id, source_id, rate_id, occurred_at, usage_date, part, source_table, channel, resource_type,
        resource_id, quantity, unit_cost, total_cost, currency, seconds, billed_quantity, destination
    )
    SELECT
        p_tenant_id, p_source_id, v_rate_id, v_occurred_at, v_usage_date, p_part, p_source_table, p_channel,
        p_resource_type, p_resource_id, v_quantity, v_unit_price, v_total_cost, v_currency,
        CASE WHEN p_resource_type = 'minute' THEN p_measured END, v_billed_quantity, p_destination
    WHERE NOT EXISTS (
        SELECT
        FROM billing.direct_usage AS d
        WHERE d.tenant_id = p_tenant_id
            AND d.channel = p_channel
            AND d.resource_type = p_resource_type
            AND d.resource_id = p_resource_id
    );
    IF NOT FOUND THEN
        RAISE unique_violation USING MESSAGE = 'the resource was recorded by hand';
    END IF;
    INSERT INTO billing.usage_deltas (
        tenant_id, summary_date, record_count, channel, resource_type, rate_id, total_quantity, billed, total_cost
    )
    VALUES (
        p_tenant_id, v_usage_date, 1, p_channel, p_resource_type, COALESCE(v_period_rate_id, 0), v_quantity, v_billed,
        v_total_cost
    );
    IF v_looks_closer THEN
        PERFORM billing.settle_reservations(p_tenant_id, ARRAY[p_resource_id]);
        PERFORM billing.claim_resource(
            p_source_table, p_source_id, p_part, p_tenant_id, p_channel, p_resource_type, p_resource_id, v_usage_date
        );
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.record_first_charge IS
'Writes revision 1 for a row that deserved nothing before, or sets it aside; the parameters are those of a measurement
(p_measured: seconds for minutes, else units). Raises unique_violation where the row was billed before all the same (by
hand, or completed, failed, completed again): record_difference then finds what is missing.';
