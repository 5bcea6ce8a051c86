-- operate: the hashes of what some cuts cover.
CREATE OR REPLACE FUNCTION billing.digest_seals(p_series text, p_cuts billing.usage_cut[], p_first integer)
RETURNS TABLE (number bigint, records bigint, content_hash bytea, ids bigint[], marks integer[])
LANGUAGE plpgsql
STABLE
SET jit = off
-- What is hashed are texts, the same for every session.
SET TimeZone = 'UTC'
SET DateStyle = 'ISO, YMD'
SET IntervalStyle = 'postgres'
AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        $query$
        SELECT
            h.number, count(*), sha256(string_agg(h.hash, '' ORDER BY h.id, h.hash)), array_agg(h.id ORDER BY h.id, h.hash),
            array_agg(('x' || encode(substring(h.hash FROM 1 FOR 4), 'hex'))::bit(32)::integer ORDER BY h.id, h.hash)
        FROM (
            SELECT q.number, q.id, sha256(convert_to(q.content::text, 'UTF8')) AS hash
            FROM (%s) AS q
            WHERE q.number >= $2
        ) AS h
        GROUP BY h.number
        $query$,
        billing.compose_seal_query(p_series)
    ) USING p_cuts, p_first;
END;
$$;

COMMENT ON FUNCTION billing.digest_seals IS
'For the cuts of a series, in their order, from the p_first on: what each covers and none before it does, as seals keeps it.
A cut that has nothing has no row.';
