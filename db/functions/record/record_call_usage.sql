-- record: a call, by hand.
CREATE OR REPLACE FUNCTION billing.record_call_usage(
    p_call_id bigint,
    p_tenant_id bigint DEFAULT NULL,
    p_call_sid text DEFAULT NULL,
    p_duration_seconds numeric DEFAULT NULL
)
RETURNS integer
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
    SELECT billing.record_row('calls', p_call_id);
$$;

COMMENT ON FUNCTION billing.record_call_usage IS
'Brings what is recorded for a row of calls to what it deserves; how many records were written. The row decides: the
other parameters are there because the usage guide''s own trigger passes them. Raises UB001, UB002, UB003, UB011.';
