-- operate: tells whoever listens of usage that was set aside.
CREATE OR REPLACE FUNCTION billing.announce_unrated(p_limit integer DEFAULT 1000)
RETURNS bigint
LANGUAGE sql
AS $$
    WITH fresh AS (
        SELECT u.id
        FROM billing.unrated_usage AS u
        WHERE u.announced_at IS NULL
            AND u.resolved_at IS NULL
        ORDER BY u.id
        LIMIT GREATEST(p_limit, 0)
        FOR UPDATE SKIP LOCKED
    ),
    marked AS (
        UPDATE billing.unrated_usage AS u
        SET announced_at = clock_timestamp()
        -- As probes of the key: a join of so many would read all entries.
        WHERE u.id = ANY (ARRAY(SELECT fresh.id FROM fresh))
        RETURNING u.id, u.source_table, u.source_id, u.sqlstate
    )
    SELECT count(*)
    FROM marked AS m
    CROSS JOIN LATERAL pg_notify(
        'billing_unrated',
        json_build_object('id', m.id, 'source_table', m.source_table, 'source_id', m.source_id, 'sqlstate', m.sqlstate)::text
    );
$$;

COMMENT ON FUNCTION billing.announce_unrated IS
'NOTIFY billing_unrated for each open entry of unrated_usage that was not announced yet (at most p_limit), once; how many.
Payload: JSON with id, source_table, source_id and sqlstate, nothing personal. Called by maintain: a trigger that notified
would queue all writers of the database for their commit, and forbid them PREPARE TRANSACTION.';
