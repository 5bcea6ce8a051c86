-- operate: the months whose usage lies in the default partition.
CREATE OR REPLACE FUNCTION billing.list_default_months()
RETURNS SETOF date
LANGUAGE sql
STABLE
AS $$
    -- From month to month along the index, whatever lies in them.
    WITH RECURSIVE months AS (
        (
            SELECT date_trunc('month', d.usage_date::timestamp)::date AS month
            FROM billing.usage_records_default AS d
            WHERE d.usage_date BETWEEN '1970-01-01' AND (now() + interval '2 years')::date
            ORDER BY d.usage_date
            LIMIT 1
        )
        UNION ALL
        SELECT following.month
        FROM months AS m
        CROSS JOIN LATERAL (
            SELECT date_trunc('month', d.usage_date::timestamp)::date AS month
            FROM billing.usage_records_default AS d
            WHERE d.usage_date >= (m.month + interval '1 month')::date
                AND d.usage_date <= (now() + interval '2 years')::date
            ORDER BY d.usage_date
            LIMIT 1
        ) AS following
    )
    SELECT month FROM months;
$$;

COMMENT ON FUNCTION billing.list_default_months IS
'The first day of each month that has usage in the default partition and can be a month of business (from 1970 to two
years ahead), the earliest first.';
