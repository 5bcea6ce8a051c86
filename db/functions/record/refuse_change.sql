-- record: trigger that makes a table append-only.
CREATE OR REPLACE FUNCTION billing.refuse_change()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        -- A table without a page has nothing that could be taken away, in any snapshot. The partitions of another are
        -- asked each for itself.
        IF pg_relation_size(TG_RELID) = 0 THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'UB014',
            DETAIL = format('%s of billing.%s was refused.', TG_OP, TG_TABLE_NAME),
            HINT = 'Correct the source row, or add an entry that takes back the wrong one.';
END;
$$;

COMMENT ON FUNCTION billing.refuse_change IS
'Refuses UPDATE, DELETE and TRUNCATE (UB014), but for the TRUNCATE of a table that is empty.';
