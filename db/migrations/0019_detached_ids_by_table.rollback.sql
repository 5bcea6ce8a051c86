ALTER TABLE billing.detached_months ADD COLUMN ids numrange NOT NULL DEFAULT 'empty';
UPDATE billing.detached_months AS d
SET ids = CASE WHEN x.is_any THEN '(,)'::numrange ELSE numrange(x.lowest, x.highest, '[]') END
FROM (
    SELECT
        m.month, bool_or(e.value ->> 0 IS NULL) AS is_any, min((e.value ->> 0)::numeric) AS lowest,
        max((e.value ->> 1)::numeric) AS highest
    FROM billing.detached_months AS m
    CROSS JOIN LATERAL jsonb_each(m.source_ids) AS e
    GROUP BY m.month
) AS x
WHERE x.month = d.month;
ALTER TABLE billing.detached_months DROP COLUMN source_ids;
ALTER TABLE billing.detached_months RENAME COLUMN ids TO source_ids;
