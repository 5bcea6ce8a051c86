-- credit: enters what has lapsed, for the tenants where it is time to look.
CREATE OR REPLACE FUNCTION billing.expire_due_credit(p_limit integer DEFAULT 500)
RETURNS bigint
LANGUAGE sql
AS $$
    SELECT count(*)
    FROM (
        SELECT billing.expire_credit(due.id) AS expired
        FROM (
            -- Who holds the tenant's row is writing entries, or changing the tenant: next time.
            SELECT t.id
            FROM public.tenants AS t
            WHERE t.id = ANY (ARRAY(
                SELECT x.tenant_id
                FROM billing.credit_expiries AS x
                WHERE x.look_at <= now()
                    -- A tenant may be deleted; its entries stay.
                    AND EXISTS (SELECT FROM public.tenants AS y WHERE y.id = x.tenant_id)
                ORDER BY x.look_at
                LIMIT GREATEST(p_limit, 0)
            ))
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS due
    ) AS looked
    WHERE looked.expired > 0;
$$;

COMMENT ON FUNCTION billing.expire_due_credit IS
'expire_credit for the tenants of at most p_limit lots whose expiry is past; how many had something to enter. Passes over
tenants whose row is locked.';
