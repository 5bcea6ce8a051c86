-- operate: bills the rows of a range of ids of which nothing is recorded: no difference to take.
CREATE OR REPLACE FUNCTION billing.record_new_rows(
    p_source_table text,
    p_from date,
    p_to date,
    p_after bigint,
    p_until bigint,
    p_wait boolean
)
RETURNS TABLE (deserving bigint, recorded bigint, busy bigint[])
LANGUAGE plpgsql
-- Planned for ranges of ids, not for the few rows that a table had when its statistics were taken.
SET jit = off
AS $$
DECLARE
    v_source text := billing.qualify_source(p_source_table);
    v_call text := (SELECT t.measure_call FROM billing.metered_tables AS t WHERE t.source_table = p_source_table);
    -- Days are the tenant's; no zone was ever 16 hours from UTC. Between the two it does not matter which it is.
    v_from timestamptz := p_from::timestamp AT TIME ZONE 'UTC';
    v_until timestamptz := (p_to + 1)::timestamp AT TIME ZONE 'UTC';
    v_ids bigint[];
    v_locked bigint[];
    v_measured billing.measurement[];
BEGIN
    EXECUTE format(
        $query$
        SELECT COALESCE(array_agg(DISTINCT m.source_id), '{}')
        FROM %s AS r
        CROSS JOIN LATERAL %s AS m
        CROSS JOIN LATERAL (SELECT COALESCE(m.occurred_at, now())) AS at (at)
        WHERE r.id > $1
            AND r.id <= $2
            AND CASE
                WHEN at.at >= $5 + interval '16 hours' AND at.at < $6 - interval '16 hours' THEN true
                WHEN at.at >= $5 - interval '16 hours' AND at.at < $6 + interval '16 hours' THEN
                    (at.at AT TIME ZONE billing.zone_of(m.tenant_id, at.at))::date BETWEEN $3 AND $4
                ELSE false
            END
        $query$,
        v_source, v_call
    ) INTO v_ids USING p_after, p_until, p_from, p_to, v_from, v_until;
    deserving := cardinality(v_ids);

    -- Never waiting with rows locked: a writer of one of them would wait for whoever we wait for.
    EXECUTE format(
        'WITH locked AS MATERIALIZED (
            SELECT * FROM %1$s AS s WHERE s.id = ANY ($1) ORDER BY s.id FOR NO KEY UPDATE %3$s
        )
        SELECT
            ARRAY(SELECT id::bigint FROM locked),
            ARRAY(SELECT m FROM locked AS r CROSS JOIN LATERAL %2$s AS m)',
        v_source, v_call, CASE WHEN p_wait THEN '' ELSE 'SKIP LOCKED' END
    ) INTO v_locked, v_measured USING v_ids;
    IF cardinality(v_locked) < deserving THEN
        EXECUTE format(
            'SELECT COALESCE(array_agg(s.id::bigint ORDER BY s.id), ''{}'')
            FROM %s AS s WHERE s.id = ANY ($1) AND s.id <> ALL ($2)', v_source
        ) INTO busy USING v_ids, v_locked;
    ELSE
        busy := '{}';
    END IF;

    recorded := 0;
    IF cardinality(v_measured) > 0 THEN
        recorded := billing.record_first_charges(p_source_table, v_measured);
    END IF;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.record_new_rows IS
'Records what the rows with id above p_after, up to p_until, that occurred from p_from to p_to (days in the tenant''s zone)
deserve, when nothing is recorded or set aside of any row of that range and no month of those days is detached: sweep_rows
sees to that. What was recorded by hand meets it as unique_violation. deserving: rows that deserve a charge; recorded: records written; busy: rows that somebody is changing and that
were left alone, unless p_wait.';
