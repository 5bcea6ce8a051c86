-- credit: enters the included credit of the tenants that do not have it yet.
CREATE OR REPLACE FUNCTION billing.grant_due_credits(p_limit integer DEFAULT 500)
RETURNS bigint
LANGUAGE sql
AS $$
    SELECT count(*)
    FROM (
        SELECT billing.grant_included_credits(due.id) AS granted
        FROM (
            SELECT t.id
            FROM public.tenants AS t
            WHERE t.status IS DISTINCT FROM 'cancelled'
                AND NOT EXISTS (
                    SELECT
                    FROM billing.included_grants AS g
                    WHERE g.tenant_id = t.id
                        AND g.granted_until > now()
                        AND g.plan_id IS NOT DISTINCT FROM t.plan_id
                )
            LIMIT GREATEST(p_limit, 0)
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS due
    ) AS done
    WHERE done.granted <> 0;
$$;

COMMENT ON FUNCTION billing.grant_due_credits IS
'grant_included_credits for at most p_limit tenants without the included credit of their present period and plan (cancelled ones
get none); how many had something to enter. Passes over tenants whose row is locked.';
