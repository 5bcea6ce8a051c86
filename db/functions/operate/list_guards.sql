-- operate: the triggers that keep what is written as it was written.
CREATE OR REPLACE FUNCTION billing.list_guards()
RETURNS TABLE (table_name regclass, trigger_name text, definition text)
LANGUAGE sql
STABLE
AS $$
    WITH months AS (
        -- Attached, detached, or just being filled.
        SELECT c.oid::regclass AS name
        FROM pg_class AS c
        WHERE c.relnamespace = 'billing'::regnamespace
            AND c.relkind = 'r'
            AND c.relname ~ '^usage_records_[0-9]{4,}_[0-9]{2}$'
    ),
    guards AS (
        SELECT format('billing.%I', t.name)::regclass AS name, 'append_only' AS trigger_name,
            'BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION billing.refuse_change()' AS definition
        FROM unnest('{credit_entries,credit_uses,issued_documents,payments,invoice_events,audit_log,seals}'::text[]) AS t (name)
        UNION ALL
        -- Its number is given when its content is known.
        SELECT 'billing.credit_notes'::regclass, 'append_only',
            'BEFORE UPDATE OR DELETE ON %s FOR EACH ROW WHEN (OLD.credit_note_number <> '''') EXECUTE FUNCTION billing.refuse_change()'
        UNION ALL
        SELECT 'billing.invoices'::regclass, 'protect_invoice',
            'BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION billing.protect_invoice()'
        UNION ALL
        SELECT 'billing.invoice_line_items'::regclass, 'protect_lines_updated',
            'AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.protect_invoice_lines()'
        UNION ALL
        SELECT 'billing.invoice_line_items'::regclass, 'protect_lines_deleted',
            'AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.protect_invoice_lines()'
        UNION ALL
        SELECT 'billing.usage_records'::regclass, 'append_only',
            'BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION billing.refuse_record_change()'
        UNION ALL
        -- A partition has its parent's trigger for as long as it is one.
        SELECT m.name, 'append_only_alone',
            'BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION billing.refuse_record_change()'
        FROM months AS m
        UNION ALL
        SELECT t.name, 'append_only_truncate', 'BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()'
        FROM (
            SELECT format('billing.%I', x.name)::regclass AS name
            FROM unnest('{usage_records,usage_records_default,credit_entries,credit_uses,invoices,invoice_line_items,issued_documents,payments,credit_notes,invoice_events,audit_log,seals}'::text[]) AS x (name)
            UNION ALL
            SELECT m.name FROM months AS m
        ) AS t
    )
    -- Named as it is for every search_path: attach_trigger compares the text.
    SELECT g.name, g.trigger_name, format(g.definition, format('billing.%I', c.relname))
    FROM guards AS g
    INNER JOIN pg_class AS c ON c.oid = g.name
    UNION ALL
    SELECT i.inhrelid::regclass, 'append_only', NULL FROM pg_inherits AS i WHERE i.inhparent = 'billing.usage_records'::regclass;
$$;

COMMENT ON FUNCTION billing.list_guards IS
'The triggers that refuse to change what is written, each for its table. All of them fire always, in a session that says it is
a replica''s, too. definition NULL: a partition''s, which comes with that of its parent.';
