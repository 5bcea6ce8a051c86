-- credit: the reservation under a key, if it is the one meant.
CREATE OR REPLACE FUNCTION billing.find_reservation(
    p_tenant_id bigint,
    p_key text,
    p_channel text,
    p_resource_type text,
    p_destination text,
    p_requested numeric
)
RETURNS billing.reservations
LANGUAGE plpgsql
AS $$
DECLARE
    v_found billing.reservations;
BEGIN
    SELECT * INTO v_found FROM billing.reservations WHERE tenant_id = p_tenant_id AND key = p_key;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF (v_found.channel, v_found.resource_type, v_found.destination, v_found.requested)
        IS DISTINCT FROM (p_channel, p_resource_type, p_destination, p_requested)
    THEN
        RAISE EXCEPTION 'the same key with other terms'
            USING ERRCODE = 'UB004',
                DETAIL = format('The reservation under this key is of %s/%s, %s asked for.',
                    v_found.channel, v_found.resource_type, COALESCE(v_found.requested::text, 'as much as the balance pays')),
                HINT = 'A key is a call''s or message''s own; use another for another.';
    END IF;
    IF v_found.outcome IS NOT NULL OR v_found.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'the reservation has ended'
            USING ERRCODE = 'UB015',
                DETAIL = format('It was %s at %s.', COALESCE(v_found.outcome, 'expired'), v_found.expires_at),
                HINT = 'Reserve under another key.';
    END IF;
    RETURN v_found;
END;
$$;

COMMENT ON FUNCTION billing.find_reservation IS
'The reservation of p_tenant_id under p_key; NULL where there is none. Raises UB004 where it is of other terms, UB015 where it
holds nothing any more.';
