-- operate: a table like a partition of usage_records, not attached yet.
CREATE OR REPLACE FUNCTION billing.create_month_table(p_month date)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_month date := billing.month_of(p_month);
    v_name text := format('usage_records_%s', to_char(v_month, 'YYYY_MM'));
BEGIN
    EXECUTE format('CREATE TABLE billing.%I (LIKE billing.usage_records INCLUDING ALL EXCLUDING INDEXES)', v_name);
    EXECUTE format('COMMENT ON TABLE billing.%I IS %L', v_name, format('usage_records of %s.', to_char(v_month, 'YYYY-MM')));
    -- Read by name it shows nothing to anybody but its owner: the policies are those of usage_records.
    EXECUTE format('ALTER TABLE billing.%I ENABLE ROW LEVEL SECURITY', v_name);
    PERFORM billing.attach_guards(format('billing.%I', v_name)::regclass);
    RETURN v_name;
END;
$$;

COMMENT ON FUNCTION billing.create_month_table IS
'Makes the table for the records of p_month, without its indexes (index_month_table makes them); its name in schema billing.';
