-- operate: after a move to another server, whose transactions have lower numbers.
CREATE OR REPLACE PROCEDURE billing.catch_up_transactions()
LANGUAGE plpgsql
AS $$
DECLARE
    v_until xid8 := (SELECT max(r.xact) FROM billing.usage_records AS r);
BEGIN
    -- There is nothing to lose: what is not on disk yet is asked for again.
    PERFORM set_config('synchronous_commit', 'off', false);
    WHILE pg_current_xact_id() <= v_until LOOP
        COMMIT;
    END LOOP;
    COMMIT;
    PERFORM set_config('synchronous_commit', reset_val, false) FROM pg_settings WHERE name = 'synchronous_commit';
END;
$$;

COMMENT ON PROCEDURE billing.catch_up_transactions IS
'Begins and ends transactions until this server has given the highest number that a record bears, for records that came from
another server in a dump or by replication: a cut of usage_records tells by these numbers what it has seen. A few seconds for a
million. CALL it outside a transaction; interrupted, it goes on with the next call.';
