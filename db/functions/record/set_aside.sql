-- record: keeps what could not be rated or recorded, where it is seen and retried.
CREATE OR REPLACE FUNCTION billing.set_aside(
    p_source_table text,
    p_source_id bigint,
    p_part smallint,
    p_tenant_id bigint,
    p_sqlstate text,
    p_reason text,
    p_context jsonb
)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_is_known boolean := false;
BEGIN
    BEGIN
        UPDATE billing.unrated_usage
        SET
            part = p_part,
            tenant_id = p_tenant_id,
            sqlstate = p_sqlstate,
            reason = billing.describe_reason(p_sqlstate, p_reason, p_context),
            context = p_context,
            attempts = attempts + 1,
            last_tried_at = clock_timestamp()
        WHERE source_table = p_source_table
            -- Rows without an id share one.
            AND (source_id = p_source_id OR source_id IS NULL AND p_source_id IS NULL)
            AND (part = p_part) IS NOT FALSE
            AND resolved_at IS NULL;
        v_is_known := FOUND;
    EXCEPTION
        WHEN serialization_failure THEN
            -- In an old snapshot: the entry was retried or announced since. Another beside it is as good.
            NULL;
    END;
    IF NOT v_is_known THEN
        INSERT INTO billing.unrated_usage (source_table, source_id, part, tenant_id, sqlstate, reason, context)
        VALUES (
            p_source_table, p_source_id, p_part, p_tenant_id, p_sqlstate,
            billing.describe_reason(p_sqlstate, p_reason, p_context), p_context
        );
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.set_aside IS
'One open entry of unrated_usage for each source row, or for each of its parts; trying again counts attempts. (Two where the
snapshot is too old to change the first; settling the row settles both.)';
