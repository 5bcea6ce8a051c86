-- record: keeps rows that could not even be measured.
CREATE OR REPLACE FUNCTION billing.set_rows_aside(
    p_source_table text,
    p_source_ids bigint[],
    p_sqlstate text,
    p_reason text
)
RETURNS void
LANGUAGE sql
AS $$
    SELECT billing.set_aside(p_source_table, id, NULL::smallint, NULL::bigint, p_sqlstate, p_reason, NULL::jsonb)
    FROM unnest(p_source_ids) AS id;
$$;

COMMENT ON FUNCTION billing.set_rows_aside IS
'set_aside for rows whose measure function failed with p_sqlstate; retry_unrated measures them again.';
