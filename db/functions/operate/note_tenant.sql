-- operate: trigger on tenants; enters what changes a tenant's bills in the audit log.
CREATE OR REPLACE FUNCTION billing.note_tenant()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_context text;
    v_old jsonb := jsonb_build_object('plan_id', OLD.plan_id, 'timezone', OLD.timezone, 'currency', OLD.currency,
        'billing_cycle_day', OLD.billing_cycle_day);
    v_new jsonb := jsonb_build_object('plan_id', NEW.plan_id, 'timezone', NEW.timezone, 'currency', NEW.currency,
        'billing_cycle_day', NEW.billing_cycle_day);
BEGIN
    PERFORM billing.require_own_table(TG_RELID, 'public.tenants');
    GET DIAGNOSTICS v_context = PG_CONTEXT;
    INSERT INTO billing.audit_log (action, via, object, key, tenant_id, old_values, new_values, reason)
    SELECT 'update', billing.find_caller(v_context), 'public.tenants', NEW.id, NEW.id,
        jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, v_new -> o.key),
        NULLIF(current_setting('billing.reason', true), '')
    FROM jsonb_each(v_old) AS o
    WHERE o.value <> v_new -> o.key;
    RETURN NULL;
END;
$$;

COMMENT ON FUNCTION billing.note_tenant IS
'Enters another plan, zone, currency or billing cycle of a tenant in audit_log; nothing else of the application''s row.';
