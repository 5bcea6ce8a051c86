-- operate: the months that a backfill will write to.
CREATE OR REPLACE FUNCTION billing.list_used_months(p_from date, p_to date)
RETURNS SETOF date
LANGUAGE sql
STABLE
AS $$
    SELECT DISTINCT u.month
    FROM billing.metered_tables AS t
    CROSS JOIN LATERAL billing.day_ids(t.source_table, p_from, p_to) AS d
    CROSS JOIN (VALUES (-1), (1)) AS n (days)
    -- A day in UTC is of two months where zones differ.
    CROSS JOIN LATERAL (SELECT billing.month_of(d.day + n.days)) AS u (month)
    WHERE billing.is_readable(t.source_table)
        AND u.month BETWEEN billing.month_of(p_from) AND p_to
    ORDER BY u.month;
$$;

COMMENT ON FUNCTION billing.list_used_months IS
'The first days of the months from p_from to p_to in which rows of metered tables occurred. For these a partition is of use; each
one more is one that a correction looks into. Reads the tables once.';
