-- record: whether any of some rows was ever billed.
CREATE OR REPLACE FUNCTION billing.is_recorded(p_source_table text, p_source_ids bigint[])
RETURNS boolean
LANGUAGE sql
STABLE
AS $$
    SELECT EXISTS (
        SELECT
        FROM billing.usage_records
        WHERE source_table = p_source_table
            AND source_id = ANY (p_source_ids)
    );
$$;

COMMENT ON FUNCTION billing.is_recorded IS
'Whether there is a record of any of the rows p_source_ids, in whatever month: an inserted row may be one that was
archived and restored, or moved between partitions.';
