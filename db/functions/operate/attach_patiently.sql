-- operate: attaches a month that took long to fill, and is not given up for a reader.
CREATE OR REPLACE FUNCTION billing.attach_patiently(p_month date)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    FOR v_try IN 1 .. 10 LOOP
        BEGIN
            PERFORM billing.attach_month(p_month);
            RETURN;
        EXCEPTION
            WHEN lock_not_available THEN
                -- What it had locked is free again: nobody queues behind it meanwhile.
                IF v_try = 10 THEN
                    RAISE;
                END IF;
        END;
        PERFORM pg_sleep(v_try);
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.attach_patiently IS
'attach_month, tried again for up to a minute when readers of all months are in its way. Raises as attach_month does.';
