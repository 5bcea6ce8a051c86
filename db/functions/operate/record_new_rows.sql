-- operate: bills the rows of a range of ids of which nothing is recorded: no difference to take.
CREATE OR REPLACE FUNCTION billing.record_new_rows(
    p_source_table text,
    p_from date,
    p_to date,
    p_after bigint,
    p_until bigint,
    p_wait boolean
)
RETURNS TABLE (deserving bigint, recorded bigint)
LANGUAGE plpgsql
-- Planned for ranges of ids, not for the few rows that a table had when its statistics were taken.
SET jit = off
AS $$
DECLARE
    v_measured billing.measurement[];
BEGIN
    -- A row is locked before it is measured for good: whoever was changing it may have changed what it is worth. Never waiting
    -- with rows locked, for a writer of one of them would wait for whoever we wait for; so that their order does not matter.
    EXECUTE format(
        $query$
        SELECT array_agg(m.*)
        FROM (
            SELECT *
            FROM %1$s AS r
            WHERE r.id > $1
                AND r.id <= $2
                AND EXISTS (
                    SELECT
                    FROM %2$s AS m
                    CROSS JOIN LATERAL (SELECT COALESCE(m.occurred_at, now())) AS at (at)
                    WHERE CASE
                        WHEN at.at >= $5 + interval '16 hours' AND at.at < $6 - interval '16 hours' THEN true
                        WHEN at.at >= $5 - interval '16 hours' AND at.at < $6 + interval '16 hours' THEN
                            (at.at AT TIME ZONE billing.zone_of(m.tenant_id, at.at))::date BETWEEN $3 AND $4
                        ELSE false
                    END
                )
            FOR NO KEY UPDATE %3$s
        ) AS r
        CROSS JOIN LATERAL %2$s AS m
        $query$,
        billing.qualify_source(p_source_table),
        (SELECT t.measure_call FROM billing.metered_tables AS t WHERE t.source_table = p_source_table),
        CASE WHEN p_wait THEN '' ELSE 'NOWAIT' END
    )
    INTO v_measured
    -- Days are the tenant's; no zone was ever 16 hours from UTC. Between the two it does not matter which it is.
    USING p_after, p_until, p_from, p_to, p_from::timestamp AT TIME ZONE 'UTC', (p_to + 1)::timestamp AT TIME ZONE 'UTC';

    deserving := cardinality(ARRAY(SELECT DISTINCT m.source_id FROM unnest(v_measured) AS m));
    recorded := 0;
    IF deserving > 0 THEN
        recorded := billing.record_first_charges(p_source_table, v_measured);
    END IF;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.record_new_rows IS
'Records what the rows with id above p_after, up to p_until, that occurred from p_from to p_to (days in the tenant''s zone)
deserve, when nothing is recorded or set aside of any row of that range and no month of those days is detached: sweep_rows
sees to that. What was recorded by hand meets it as unique_violation, and what somebody is changing as lock_not_available,
unless p_wait. deserving: rows that deserve a charge; recorded: records written.';
