-- operate: everything that is stored about a number or address.
CREATE OR REPLACE FUNCTION billing.find_subject(p_number text)
RETURNS TABLE (table_name text, tenant_id bigint, content jsonb)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_read record;
    v_place record;
BEGIN
    SELECT * INTO v_read FROM billing.read_subject(p_number);
    FOR v_place IN
        SELECT c.oid::regclass AS relation, array_agg(a.attname) AS columns
        FROM pg_class AS c
        INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN billing.personal_data AS d
            ON d.column_name = a.attname
            AND d.table_name = CASE WHEN c.relname ~ '^usage_records_[0-9]{4}_[0-9]{2}$' THEN 'usage_records' ELSE c.relname END
            AND c.relnamespace = 'billing'::regnamespace
        WHERE c.oid IN (
                SELECT format('billing.%I', x.table_name)::regclass FROM billing.personal_data AS x
                UNION
                SELECT l.relation FROM billing.list_forgettable(true) AS l WHERE NOT EXISTS (
                    SELECT FROM pg_inherits AS i WHERE i.inhrelid = l.relation AND i.inhparent = 'billing.usage_records'::regclass
                )
            )
            AND CASE WHEN c.relnamespace = 'billing'::regnamespace THEN d.holds IN ('number', 'customer')
                ELSE a.attname IN (SELECT t.column_name FROM billing.list_text_columns(c.oid) AS t) END
        GROUP BY c.oid
        ORDER BY c.oid::regclass::text
    LOOP
        table_name := v_place.relation::text;
        FOR content IN EXECUTE format(
            'SELECT to_jsonb(t.*) - ''secret'' FROM %s AS t WHERE %s', v_place.relation, (
                SELECT string_agg(format(
                    '(strpos(lower(translate(t.%1$I::text, ''+ -().'', '''')), $1) > 0 AND t.%1$I::text ~* $2)', k
                ), ' OR ')
                FROM unnest(v_place.columns) AS k
            )
        ) USING v_read.needle, v_read.pattern LOOP
            tenant_id := CASE WHEN content ->> 'tenant_id' ~ '^[0-9]{1,18}$' THEN (content ->> 'tenant_id')::bigint END;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.find_subject IS
'Every row that holds p_number (E.164 with or without +, or an email address), as JSON: of our tables, detached months included, and
of the metered tables of the application. For who asks what is stored about him; names the parts that forget_subject leaves (invoices,
payments), too. Reads these tables from end to end. What is in files of archived months it does not see. Raises UB012.';
