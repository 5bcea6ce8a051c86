-- operate: how far the forgetting of a number has come.
CREATE OR REPLACE FUNCTION billing.save_forgetting(
    p_digest bytea,
    p_changed bigint,
    p_at_table text,
    p_at_block bigint,
    p_reason text
)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
BEGIN
    UPDATE billing.forgotten_subjects
    SET
        changed = changed + p_changed,
        at_table = p_at_table,
        at_block = p_at_block,
        forgotten_at = CASE WHEN p_at_table IS NULL THEN clock_timestamp() END,
        salt = CASE WHEN p_at_table IS NOT NULL OR mode = 'pseudonymise' THEN salt END
    WHERE digest = p_digest;
    IF p_at_table IS NULL THEN
        -- What was done, not to whom.
        PERFORM billing.note_act('forget', 'usage_records', NULL, NULL, jsonb_build_object('mode', f.mode, 'changed', f.changed), p_reason)
        FROM billing.forgotten_subjects AS f
        WHERE f.digest = p_digest;
        PERFORM billing.drop_erased_subjects();
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.save_forgetting IS
'p_changed more rows were changed for the subject p_digest, and p_at_table and p_at_block are where to go on; p_at_table NULL: it is
done, for p_reason, and what was erased cannot be traced any more.';
