-- summarize: adds up deltas, so that reads stay short.
CREATE OR REPLACE FUNCTION billing.merge_summaries(p_limit integer DEFAULT 20000)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_merged integer;
BEGIN
    -- One merger at a time; a second one has nothing to wait for.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('billing.merge_summaries', 0)) THEN
        RETURN 0;
    END IF;

    WITH taken AS (
        DELETE FROM billing.usage_deltas
        WHERE ctid = ANY (ARRAY(SELECT d.ctid FROM billing.usage_deltas AS d LIMIT GREATEST(p_limit, 0)))
        RETURNING *
    ),
    added AS (
        INSERT INTO billing.usage_sums AS s (
            tenant_id, summary_date, channel, resource_type, rate_id,
            total_quantity, billed, total_cost, record_count, changes
        )
        SELECT
            tenant_id, summary_date, channel, resource_type, rate_id,
            sum(total_quantity), sum(billed), sum(total_cost), sum(record_count), sum(changes)
        FROM taken
        GROUP BY tenant_id, summary_date, channel, resource_type, rate_id
        ON CONFLICT (tenant_id, summary_date, channel, resource_type, rate_id) DO UPDATE
        SET
            total_quantity = s.total_quantity + EXCLUDED.total_quantity,
            billed = s.billed + EXCLUDED.billed,
            total_cost = s.total_cost + EXCLUDED.total_cost,
            record_count = s.record_count + EXCLUDED.record_count,
            changes = s.changes + EXCLUDED.changes
    )
    SELECT count(*)
    INTO v_merged
    FROM taken;
    RETURN v_merged;
END;
$$;

COMMENT ON FUNCTION billing.merge_summaries IS
'Moves at most p_limit rows from usage_deltas into usage_sums, in one statement, so that every snapshot sees each of
them in exactly one place; how many. Writers are never in its way nor it in theirs. If nobody calls it, reads of
usage_summaries stay exact and slow down slowly.';
