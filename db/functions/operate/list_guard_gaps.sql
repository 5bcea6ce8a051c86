-- operate: what is written and could be changed.
CREATE OR REPLACE FUNCTION billing.list_guard_gaps()
RETURNS TABLE (table_name regclass, trigger_name text, problem text)
LANGUAGE sql
STABLE
AS $$
    SELECT
        g.table_name, g.trigger_name,
        CASE t.tgenabled
            WHEN 'D' THEN 'disabled'
            WHEN 'O' THEN 'still for a replica'
            WHEN 'R' THEN 'for a replica only'
            ELSE 'missing'
        END
    FROM billing.list_guards() AS g
    LEFT JOIN pg_trigger AS t ON t.tgrelid = g.table_name AND t.tgname = g.trigger_name
    WHERE t.tgenabled IS DISTINCT FROM 'A';
$$;

COMMENT ON FUNCTION billing.list_guard_gaps IS
'The triggers of list_guards that are missing, disabled, or do not fire always: pg_restore --disable-triggers leaves them so.
billing.attach_guards() mends them.';
