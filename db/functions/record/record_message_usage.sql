-- record: a message of any channel, by hand.
CREATE OR REPLACE FUNCTION billing.record_message_usage(p_message_id bigint)
RETURNS integer
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
    SELECT billing.record_row('messages', p_message_id);
$$;

COMMENT ON FUNCTION billing.record_message_usage IS
'Brings what is recorded for a row of messages (any channel) to what it deserves; how many records were written.
Raises UB001, UB002, UB003, UB011.';
