-- record: trigger that makes a table append-only.
CREATE OR REPLACE FUNCTION billing.refuse_change()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'UB014',
            DETAIL = format('%s of billing.%s was refused.', TG_OP, TG_TABLE_NAME),
            HINT = 'Correct the source row, or add an entry that takes back the wrong one.';
END;
$$;

COMMENT ON FUNCTION billing.refuse_change IS 'Refuses UPDATE, DELETE and TRUNCATE (UB014).';
