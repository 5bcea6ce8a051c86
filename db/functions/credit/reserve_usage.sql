-- credit: money held for a message, or anything else that is metered.
CREATE OR REPLACE FUNCTION billing.reserve_usage(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_quantity numeric,
    p_key text,
    p_destination text DEFAULT NULL,
    OUT granted_quantity numeric
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    v_destination text := billing.normalize_destination(p_destination);
    v_measured numeric := CASE WHEN p_resource_type = 'minute' THEN p_quantity * 60 ELSE p_quantity END;
    v_account billing.credit_accounts;
    v_found billing.reservations;
    v_room record;
    v_priced billing.priced_usage;
BEGIN
    IF p_key IS NULL OR p_key = '' THEN
        RAISE EXCEPTION 'a reservation needs a key'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_key is NULL or empty.',
                HINT = 'Give the message_sid: recording the message settles the reservation.';
    END IF;
    IF (p_quantity > 0) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad quantity'
            USING ERRCODE = 'UB003',
                DETAIL = format('The quantity is %s.', COALESCE(p_quantity::text, 'NULL')),
                HINT = 'Reserve a finite quantity above zero.';
    END IF;

    v_account := billing.lock_account(p_tenant_id);
    v_found := billing.find_reservation(p_tenant_id, p_key, p_channel, p_resource_type, v_destination, v_measured);
    IF v_found.key IS NOT NULL THEN
        granted_quantity := p_quantity;
        RETURN;
    END IF;

    v_account := billing.settle_account(v_account);
    SELECT * INTO v_room FROM billing.read_headroom(p_tenant_id, v_account.reserved);
    v_priced := billing.quote_measured(p_tenant_id, p_channel, p_resource_type, v_measured, v_destination, now());
    IF v_room.headroom < 0 OR v_priced.total_cost > v_room.headroom THEN
        v_measured := 0;
    END IF;

    granted_quantity := CASE WHEN v_measured > 0 THEN p_quantity ELSE 0 END;
    PERFORM billing.hold_credit(
        v_account, p_key, p_channel, p_resource_type, v_destination,
        CASE WHEN p_resource_type = 'minute' THEN p_quantity * 60 ELSE p_quantity END, v_measured, v_priced,
        interval '1 hour'
    );
END;
$$;

COMMENT ON FUNCTION billing.reserve_usage IS
'p_quantity (in units of the resource) where the balance and limits of p_tenant_id pay for all of it, else 0: refuse it, nothing
is held. Its price is held under p_key (the message_sid) until it is recorded, released, or an hour is over. The same key
again gives the same grant. Waits as reserve_call does. Raises UB001, UB002, UB003, UB004, UB012, UB015, UB016.';
