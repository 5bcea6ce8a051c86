-- operate: what the next seal of a series would hold.
CREATE OR REPLACE FUNCTION billing.draw_seal(p_series text, p_limit bigint)
RETURNS billing.seals
LANGUAGE plpgsql
-- A STABLE function sees one snapshot throughout: the cut is of what is hashed.
STABLE
SET jit = off
AS $$
DECLARE
    v_cuts billing.usage_cut[] := ARRAY(SELECT s.cut FROM billing.seals AS s WHERE s.series = p_series ORDER BY s.id);
    v_seal billing.seals;
    v_last_id bigint;
    v_last_xact xid8;
    v_snapshot text[] := string_to_array(pg_current_snapshot()::text, ':');
BEGIN
    EXECUTE format(
        'SELECT max(n.id), max(n.xact) FILTER (WHERE n.xact IS DISTINCT FROM $2)
        FROM (SELECT q.id, q.xact FROM (%s) AS q WHERE q.number IS NULL ORDER BY q.id LIMIT $3) AS n',
        billing.compose_seal_query(p_series)
    ) INTO v_last_id, v_last_xact USING v_cuts, pg_current_xact_id_if_assigned(), p_limit;
    IF v_last_id IS NULL THEN
        RETURN NULL;
    END IF;

    -- What came from another cluster, in a dump or by replication, may bear numbers of transactions that this one has yet to
    -- give: seen is ended.
    IF v_last_xact::text::numeric >= v_snapshot[2]::numeric THEN
        v_snapshot[2] := (v_last_xact::text::numeric + 1)::text;
    END IF;
    v_seal.series := p_series;
    v_seal.cut := (
        GREATEST(v_last_id, (v_cuts[cardinality(v_cuts)]).last_record_id), array_to_string(v_snapshot, ':')::pg_snapshot,
        pg_current_xact_id_if_assigned()
    );
    SELECT d.records, d.content_hash, d.ids, d.marks
    INTO STRICT v_seal.records, v_seal.content_hash, v_seal.ids, v_seal.marks
    FROM billing.digest_seals(p_series, v_cuts || v_seal.cut, cardinality(v_cuts) + 1) AS d;
    RETURN v_seal;
END;
$$;

COMMENT ON FUNCTION billing.draw_seal IS
'A seal of p_series without number, time and chain_hash, over records that no seal has: up to p_limit in order of id, and what
came late with a lower one. NULL: there are none.';
