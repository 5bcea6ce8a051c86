-- operate: administrative acts are entered in the audit log. After all other files: what an installation itself writes is no act.
SELECT billing.attach_trigger(to_regclass('billing.' || w.table_name), e.name, format(e.definition, w.table_name, w.left_out, w.hidden))
FROM billing.watched_tables AS w
CROSS JOIN (
    VALUES
        ('act_inserted', 'AFTER INSERT ON billing.%I REFERENCING NEW TABLE AS new_rows '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.note_change(%L, %L)'),
        ('act_updated', 'AFTER UPDATE ON billing.%I REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.note_change(%L, %L)'),
        ('act_deleted', 'AFTER DELETE ON billing.%I REFERENCING OLD TABLE AS old_rows '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.note_change(%L, %L)'),
        ('act_truncated', 'BEFORE TRUNCATE ON billing.%I FOR EACH STATEMENT EXECUTE FUNCTION billing.note_change(%L, %L)')
) AS e (name, definition)
WHERE to_regclass('billing.' || w.table_name) IS NOT NULL;

SELECT billing.attach_trigger('public.tenants', 'billing_tenant_noted',
    'AFTER UPDATE ON public.tenants FOR EACH ROW '
    'WHEN ((OLD.plan_id, OLD.timezone, OLD.currency, OLD.billing_cycle_day) '
    'IS DISTINCT FROM (NEW.plan_id, NEW.timezone, NEW.currency, NEW.billing_cycle_day)) '
    'EXECUTE FUNCTION billing.note_tenant()');
