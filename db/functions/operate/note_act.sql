-- operate: enters an administrative act that no trigger sees in the audit log.
CREATE OR REPLACE FUNCTION billing.note_act(
    p_action text,
    p_object text,
    p_key text,
    p_tenant_id bigint,
    p_details jsonb,
    p_reason text
)
RETURNS void
LANGUAGE plpgsql
-- Nobody writes to the audit log himself.
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_context text;
BEGIN
    GET DIAGNOSTICS v_context = PG_CONTEXT;
    INSERT INTO billing.audit_log (action, via, object, key, tenant_id, new_values, reason)
    VALUES (
        p_action, billing.find_caller(v_context), p_object, p_key, p_tenant_id, p_details,
        COALESCE(NULLIF(p_reason, ''), NULLIF(current_setting('billing.reason', true), ''))
    );
END;
$$;

COMMENT ON FUNCTION billing.note_act IS
'Enters p_action on p_object (a table), row p_key of p_tenant_id, in audit_log, with who and when. p_details: what was done,
without secrets or personal data; p_reason NULL: the setting billing.reason. All but action and object may be NULL.';
