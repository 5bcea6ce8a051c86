-- rate: what holds for a tenant is remembered when it changes.
SELECT billing.attach_trigger('public.tenants', 'billing_tenant_inserted',
    'AFTER INSERT ON public.tenants FOR EACH ROW EXECUTE FUNCTION billing.tenant_changed()');
SELECT billing.attach_trigger('public.tenants', 'billing_tenant_changed',
    'AFTER UPDATE ON public.tenants FOR EACH ROW '
    'WHEN ((OLD.plan_id, OLD.timezone, OLD.currency) IS DISTINCT FROM (NEW.plan_id, NEW.timezone, NEW.currency)) '
    'EXECUTE FUNCTION billing.tenant_changed()');
