-- operate: closes what was set aside and can never be rated.
CREATE OR REPLACE FUNCTION billing.dismiss_unrated(p_id bigint, p_reason text)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_entry billing.unrated_usage;
BEGIN
    IF COALESCE(p_reason, '') = '' THEN
        RAISE EXCEPTION 'no reason given'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_reason is NULL or empty.',
                HINT = 'Say why this usage will not be billed: somebody will ask.';
    END IF;
    UPDATE billing.unrated_usage
    SET
        resolved_at = clock_timestamp(),
        context = COALESCE(context, '{}') || jsonb_build_object('dismissed', p_reason, 'by', billing.acting_role())
    WHERE id = p_id
        AND resolved_at IS NULL
    RETURNING * INTO v_entry;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such open entry'
            USING ERRCODE = 'UB011',
                DETAIL = format('unrated_usage has no open entry %s.', p_id),
                HINT = 'SELECT * FROM billing.unrated_usage WHERE resolved_at IS NULL lists them.';
    END IF;
    -- No trigger notes it: recording writes to unrated_usage, too.
    PERFORM billing.note_act('dismiss', 'unrated_usage', p_id::text, v_entry.tenant_id,
        jsonb_build_object('source_table', v_entry.source_table, 'source_id', v_entry.source_id, 'sqlstate', v_entry.sqlstate),
        p_reason);
END;
$$;

COMMENT ON FUNCTION billing.dismiss_unrated IS
'Closes an entry of unrated_usage without billing it, such as that of a row deleted before it could be rated, and keeps
who did so and why. Raises UB011, UB012.';
