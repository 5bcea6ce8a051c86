-- operate: deletes what is done with and was kept long enough.
CREATE OR REPLACE FUNCTION billing.expire_data(p_limit bigint DEFAULT 10000)
RETURNS TABLE (table_name text, done bigint, is_more boolean)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_expired record;
BEGIN
    FOR v_expired IN
        SELECT k.table_name AS kept_as, e.relation, now() - k.keep AS until, e.condition
        FROM billing.retention AS k
        INNER JOIN (VALUES
            (1, 'unrated_usage', 'unrated_usage', 't.resolved_at < $1'),
            (2, 'reservations', 'reservations', 't.expires_at < $1 AND NOT t.is_counted'),
            (3, 'alert_deliveries', 'alert_deliveries',
                't.next_try_at IS NULL AND COALESCE(t.delivered_at, (SELECT a.created_at FROM billing.alerts AS a
                WHERE a.tenant_id = t.tenant_id AND a.id = t.alert_id)) < $1'),
            -- An alert of a period that is not over would be raised again; periods are of a month.
            (4, 'alerts', 'alerts', 't.created_at < $1 AND t.period_start < now() - interval ''2 months'' AND NOT EXISTS (
                SELECT FROM billing.alert_deliveries AS d
                WHERE d.tenant_id = t.tenant_id AND d.alert_id = t.id AND d.next_try_at IS NOT NULL)'),
            -- The differences first, of which there may be any number.
            (5, 'rerating_proposals', 'rerating_differences', 't.proposal_id IN (
                SELECT p.id FROM billing.rerating_proposals AS p WHERE COALESCE(p.applied_at, p.created_at) < $1)'),
            (6, 'rerating_proposals', 'rerating_proposals', 'COALESCE(t.applied_at, t.created_at) < $1 AND NOT EXISTS (
                SELECT FROM billing.rerating_differences AS d WHERE d.proposal_id = t.id)')
        ) AS e (line, kept_as, relation, condition) ON e.kept_as = k.table_name
        WHERE k.keep IS NOT NULL
        ORDER BY e.line
    LOOP
        EXECUTE format(
            'DELETE FROM billing.%1$I AS d WHERE d.ctid = ANY (ARRAY(
                SELECT t.ctid FROM billing.%1$I AS t WHERE %2$s LIMIT $2 FOR UPDATE SKIP LOCKED))',
            v_expired.relation, v_expired.condition
        ) USING v_expired.until, p_limit;
        GET DIAGNOSTICS done = ROW_COUNT;
        table_name := v_expired.relation;
        is_more := done = p_limit;
        RETURN NEXT;
    END LOOP;

    table_name := 'usage_records';
    SELECT e.done, e.is_more INTO done, is_more FROM billing.expire_destinations() AS e;
    RETURN NEXT;
    PERFORM billing.drop_erased_subjects();
END;
$$;

COMMENT ON FUNCTION billing.expire_data IS
'Does what billing.retention says, at most p_limit rows of each table and a part of usage_records: per table how many rows were
deleted (usage_records: erased in place), and whether there are more. maintain() calls it once an hour. Nothing that a sum, a
balance of today or an invoice is made of is touched.';
