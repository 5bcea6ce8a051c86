-- credit: how long a call may last, and the money held for it.
CREATE OR REPLACE FUNCTION billing.reserve_call(
    p_tenant_id bigint,
    p_to_number text,
    p_key text,
    p_seconds integer DEFAULT NULL,
    OUT granted_seconds integer
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    v_destination text := billing.normalize_destination(p_to_number);
    v_account billing.credit_accounts;
    v_found billing.reservations;
    v_room record;
    v_priced billing.priced_usage;
    v_low integer := 0;
    v_high integer;
    v_try integer;
BEGIN
    IF p_key IS NULL OR p_key = '' THEN
        RAISE EXCEPTION 'a reservation needs a key'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_key is NULL or empty.',
                HINT = 'Give the call_sid: recording the call settles the reservation.';
    END IF;
    IF p_seconds <= 0 THEN
        RAISE EXCEPTION 'bad number of seconds'
            USING ERRCODE = 'UB003',
                DETAIL = format('p_seconds is %s.', p_seconds),
                HINT = 'Ask for a number of seconds above zero, or NULL for as many as the balance pays.';
    END IF;

    v_account := billing.lock_account(p_tenant_id);
    v_found := billing.find_reservation(p_tenant_id, p_key, 'voice', 'minute', v_destination, p_seconds);
    IF v_found.key IS NOT NULL THEN
        granted_seconds := v_found.granted;
        RETURN;
    END IF;

    v_account := billing.settle_account(v_account);
    SELECT * INTO v_room FROM billing.read_headroom(p_tenant_id, v_account.reserved);
    v_high := LEAST(p_seconds, v_room.max_call_seconds);
    -- Also where nothing is left to promise: without a price it is an error, not a refusal.
    v_priced := billing.quote_measured(p_tenant_id, 'voice', 'minute', v_high, v_destination, now());
    IF v_room.headroom < 0 OR v_account.calls >= v_room.max_calls THEN
        v_high := 0;
    ELSIF v_priced.total_cost > v_room.headroom THEN
        -- The longest that is paid for: v_low seconds are, v_high are not.
        WHILE v_high - v_low > 1 LOOP
            v_try := (v_low + v_high) / 2;
            IF (billing.quote_measured(p_tenant_id, 'voice', 'minute', v_try, v_destination, now())).total_cost <= v_room.headroom THEN
                v_low := v_try;
            ELSE
                v_high := v_try;
            END IF;
        END LOOP;
        v_high := v_low;
        v_priced := billing.quote_measured(p_tenant_id, 'voice', 'minute', v_high, v_destination, now());
    END IF;

    granted_seconds := v_high;
    PERFORM billing.hold_credit(
        v_account, p_key, 'voice', 'minute', v_destination, p_seconds, granted_seconds, v_priced,
        make_interval(secs => granted_seconds) + interval '10 minutes'
    );
END;
$$;

COMMENT ON FUNCTION billing.reserve_call IS
'How many seconds of a call to p_to_number (E.164) the balance and limits of p_tenant_id pay for, by the price, increments and
fees of that destination now, at most p_seconds (NULL: as many as there are) and at most tenant_limits.max_call_seconds; 0:
refuse the call, nothing is held. Their price is held under p_key (the call_sid) until the call is recorded, released, or ten
minutes after they are over. The same key again gives the same grant. Other reservations of the tenant wait until the
transaction ends, recording never does. Raises UB001, UB002, UB003, UB004, UB012, UB015, UB016.';
