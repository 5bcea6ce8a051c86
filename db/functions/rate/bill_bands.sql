-- rate: a quantity as each band it falls in bills it.
CREATE OR REPLACE FUNCTION billing.bill_bands(
    p_rate billing.pricing_rates,
    p_resource_type text,
    p_quantity numeric,
    p_at timestamptz
)
RETURNS TABLE (
    part integer,
    band text,
    starts_at timestamptz,
    quantity numeric,
    billed numeric,
    unit_price numeric,
    connection_fee numeric
)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
AS $$
DECLARE
    v_is_call boolean := p_resource_type = 'minute';
    v_split record;
    v_terms jsonb;
BEGIN
    IF p_quantity = 0 THEN
        RETURN;
    END IF;
    -- Whatever is no call is all of one instant.
    FOR v_split IN
        SELECT * FROM billing.split_by_band(p_rate.calendar_id, p_at, CASE WHEN v_is_call THEN p_quantity ELSE 0.000001 END)
    LOOP
        part := v_split.part;
        band := v_split.band;
        starts_at := v_split.starts_at;
        quantity := CASE WHEN v_is_call THEN v_split.seconds ELSE p_quantity END;
        v_terms := p_rate.terms -> 'bands' -> band;
        unit_price := COALESCE((v_terms ->> 'unit_price')::numeric, p_rate.unit_price);
        -- The initial increment and the fee are for the beginning of a call.
        connection_fee := CASE
            WHEN part = 1 THEN COALESCE((v_terms ->> 'connection_fee')::numeric, p_rate.connection_fee)
            ELSE 0
        END;
        billed := CASE
            WHEN NOT v_is_call THEN quantity
            ELSE billing.bill_seconds(
                quantity,
                CASE
                    WHEN part = 1 THEN COALESCE((v_terms ->> 'initial_increment')::numeric, p_rate.initial_increment)
                    ELSE 0
                END,
                COALESCE((v_terms ->> 'increment')::numeric, p_rate.billing_increment)
            )
        END;
        RETURN NEXT;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.bill_bands IS
'p_quantity (seconds for minutes, else units) from p_at on as p_rate, a rate with a calendar, bills it: each part of
a call in the increments of its own band, connection_fee on the first part only; messages whole in the band of p_at.
unit_price is of one minute or unit. What terms.bands leaves out, and times in no band or in one it does not name, are
billed by the rate''s columns. No rows for 0. Raises UB003.';
