-- record: usage of anything, by hand (the usage guide's recordUsage).
CREATE OR REPLACE FUNCTION billing.record_usage(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_resource_id text,
    p_quantity numeric,
    p_metadata jsonb DEFAULT '{}',
    p_occurred_at timestamptz DEFAULT now()
)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    -- To the microsecond: a third of a minute that came through a binary float is 20 s.
    v_measured numeric := CASE WHEN p_resource_type = 'minute' THEN trim_scale(round(p_quantity * 60, 6)) ELSE p_quantity END;
    v_priced billing.priced_usage;
    v_direct billing.direct_usage;
    v_record billing.usage_records;
BEGIN
    IF COALESCE(p_resource_id, '') = '' THEN
        RAISE EXCEPTION 'usage without a resource'
            USING ERRCODE = 'UB011',
                DETAIL = 'p_resource_id is NULL or empty.',
                HINT = 'Name the call, message or other thing that was used: it is what makes recording twice safe.';
    END IF;
    v_priced := billing.price_or_raise(
        p_tenant_id, p_channel, p_resource_type, v_measured,
        COALESCE(p_metadata ->> 'to', p_metadata ->> 'to_number'), p_occurred_at
    );

    v_record := billing.find_recorded_row(p_tenant_id, p_channel, p_resource_type, p_resource_id);
    IF v_record.id IS NULL THEN
        v_record.id := nextval('billing.usage_records_id_seq');
        v_record.created_at := clock_timestamp();
        INSERT INTO billing.direct_usage AS d (
            tenant_id, channel, resource_type, resource_id, record_id, created_at, usage_date
        )
        VALUES (
            p_tenant_id, p_channel, p_resource_type, p_resource_id,
            v_record.id, v_record.created_at, v_priced.usage_date
        )
        ON CONFLICT (tenant_id, channel, resource_type, resource_id) DO NOTHING;
        IF FOUND THEN
            v_record.tenant_id := p_tenant_id;
            v_record.revision := 1;
            v_record.part := 1;
            v_record.kind := 'charge';
            v_record.rate_id := v_priced.rate_id;
            v_record.occurred_at := p_occurred_at;
            v_record.usage_date := v_priced.usage_date;
            v_record.channel := p_channel;
            v_record.resource_type := p_resource_type;
            v_record.resource_id := p_resource_id;
            v_record.quantity := p_quantity;
            v_record.unit_cost := v_priced.unit_cost;
            v_record.total_cost := v_priced.total_cost;
            v_record.currency := v_priced.currency;
            v_record.seconds := CASE WHEN p_resource_type = 'minute' THEN v_measured END;
            v_record.billed_quantity := v_priced.billed_quantity;
            v_record.destination := billing.normalize_destination(
                COALESCE(p_metadata ->> 'to', p_metadata ->> 'to_number')
            );
            v_record.metadata := COALESCE(p_metadata, '{}');
            v_record.xact := pg_current_xact_id();
            PERFORM billing.write_records(ARRAY[v_record]);
            RETURN v_record.id;
        END IF;

        SELECT *
        INTO v_direct
        FROM billing.direct_usage AS d
        WHERE d.tenant_id = p_tenant_id
            AND d.channel = p_channel
            AND d.resource_type = p_resource_type
            AND d.resource_id = p_resource_id;
        SELECT *
        INTO v_record
        FROM billing.usage_records AS r
        WHERE r.tenant_id = p_tenant_id
            AND r.created_at = v_direct.created_at
            AND r.id = v_direct.record_id
            AND r.usage_date = v_direct.usage_date;
        IF NOT FOUND THEN
            -- In a month that is detached: its figures cannot be compared.
            RETURN v_direct.record_id;
        END IF;
    END IF;

    IF COALESCE(v_record.seconds, v_record.quantity) IS DISTINCT FROM v_measured THEN
        RAISE EXCEPTION 'the same resource with other figures'
            USING ERRCODE = 'UB004',
                DETAIL = format('Record %s of tenant %s has quantity %s, not %s.',
                    v_record.id, p_tenant_id, v_record.quantity, p_quantity),
                HINT = 'A resource is recorded once. Correct its row, or record the rest under another resource id.';
    END IF;
    RETURN v_record.id;
END;
$$;

COMMENT ON FUNCTION billing.record_usage IS
'Records p_quantity (minutes, messages, recipients) of a resource and gives the record''s id. The same resource again
gives the same id and writes nothing; other figures raise UB004. A call or message recorded by its row already is found
by its call_sid or message_sid. p_metadata is kept; its "to" decides the price where prices have prefixes. Raises UB001,
UB002, UB003, UB004, UB011.';
