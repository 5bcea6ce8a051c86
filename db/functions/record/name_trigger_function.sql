-- record: what the trigger function of a metered table is called.
CREATE OR REPLACE FUNCTION billing.name_trigger_function(p_source_table text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT format('billing.%I', CASE
        WHEN octet_length(p_source_table) <= 57 THEN 'meter_' || p_source_table
        ELSE 'meter_' || md5(p_source_table)
    END);
$$;

COMMENT ON FUNCTION billing.name_trigger_function IS
'meter_<source table>, quoted where need be; a hash where that would be longer than the 63 bytes of a name.';
