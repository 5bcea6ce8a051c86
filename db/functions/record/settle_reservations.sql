-- record: usage takes the place of what was reserved for it.
CREATE OR REPLACE FUNCTION billing.settle_reservations(p_tenant_id bigint, p_resource_ids text[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_resource_id text;
BEGIN
    IF current_setting('transaction_isolation') = 'read committed' THEN
        PERFORM billing.end_reservations(p_tenant_id, p_resource_ids, 'settled');
        RETURN;
    END IF;
    -- A snapshot that is too old meets what was released or has expired since: there is nothing to settle.
    FOREACH v_resource_id IN ARRAY p_resource_ids LOOP
        BEGIN
            PERFORM billing.end_reservations(p_tenant_id, ARRAY[v_resource_id], 'settled');
        EXCEPTION
            WHEN serialization_failure THEN
                NULL;
        END;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.settle_reservations IS
'Ends the reservations of p_tenant_id for p_resource_ids (call_sid, message_sid), in the transaction that records their usage.
Never waits and never raises. Called only where tenant_terms.looks_closer.';
