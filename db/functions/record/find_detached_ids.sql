-- record: which rows of a table may have been billed in a month that is away.
CREATE OR REPLACE FUNCTION billing.find_detached_ids(p_source_table text)
RETURNS TABLE (month date, ids numrange)
LANGUAGE sql
STABLE
AS $$
    SELECT d.month, numrange((e.value ->> 0)::numeric, (e.value ->> 1)::numeric, '[]')
    FROM billing.detached_months AS d
    CROSS JOIN LATERAL jsonb_each(d.source_ids) AS e
    WHERE e.key IN (p_source_table, '');
$$;

COMMENT ON FUNCTION billing.find_detached_ids IS
'For each detached month that has records of p_source_table: from the lowest to the highest of their ids. A row of these that does
not say when it occurred, and of which no record is found, may have been billed then.';
