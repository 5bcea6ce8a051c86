-- rate: whether a price that has begun is told by a calendar.
CREATE OR REPLACE FUNCTION billing.is_priced_calendar(p_calendar_id bigint, p_now timestamptz DEFAULT now())
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    -- Waits for rates being entered for it, which hold its row (see check_bands).
    PERFORM FROM billing.calendars WHERE id = p_calendar_id FOR UPDATE;
    RETURN EXISTS (SELECT FROM billing.pricing_rates WHERE calendar_id = p_calendar_id AND effective_from <= p_now);
END;
$$;

COMMENT ON FUNCTION billing.is_priced_calendar IS
'true: a rate with calendar p_calendar_id had begun by p_now, withdrawn or not, so that what the calendar says is
history. Locks the calendar until the transaction ends: no rate begins to use it meanwhile.';
