-- operate: how long something is kept.
CREATE OR REPLACE FUNCTION billing.set_retention(p_table_name text, p_keep interval)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
BEGIN
    IF p_keep < interval '1 day' OR NOT EXISTS (SELECT FROM billing.retention AS k WHERE k.table_name = p_table_name) THEN
        RAISE EXCEPTION 'bad retention'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_table_name is none of billing.retention, or p_keep is less than a day.',
                HINT = 'SELECT table_name, keep FROM billing.retention; NULL is for ever.';
    END IF;
    -- Months that were looked through are looked through again by the new rule.
    UPDATE billing.retention AS k
    SET keep = p_keep, at_table = NULL, at_block = 0, done_until = NULL
    WHERE k.table_name = p_table_name;
END;
$$;

COMMENT ON FUNCTION billing.set_retention IS
'Keeps what billing.retention lists under p_table_name for p_keep (a day or more; NULL: for ever) after it was done with. Raises UB012.';
