-- record: what was billed under ids that rows gave up in a statement whose trigger failed.
CREATE OR REPLACE FUNCTION billing.set_renamed_aside(
    p_source_table text,
    p_source_ids bigint[],
    p_sqlstate text,
    p_message text,
    p_context text
)
RETURNS void
LANGUAGE sql
AS $$
    SELECT billing.set_aside(
        p_source_table, i.id, NULL::smallint, NULL::bigint, p_sqlstate, p_message,
        billing.describe_error(p_context) || '{"is_renamed": true}'
    )
    FROM unnest(p_source_ids) AS i (id)
    WHERE i.id IS NOT NULL;
$$;

COMMENT ON FUNCTION billing.set_renamed_aside IS
'set_aside for each of p_source_ids, marked as renamed: the rows are billed under other ids, and retry_row takes back what was
billed under these.';
