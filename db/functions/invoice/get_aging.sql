-- invoice: what is open, by how long it has been due.
CREATE OR REPLACE FUNCTION billing.get_aging(p_as_of date DEFAULT CURRENT_DATE)
RETURNS TABLE (
    tenant_id bigint,
    currency text,
    invoices bigint,
    not_due numeric,
    days_1_to_30 numeric,
    days_31_to_60 numeric,
    days_61_to_90 numeric,
    days_over_90 numeric,
    total_due numeric,
    dunning_level integer
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        i.tenant_id, i.currency, count(*),
        COALESCE(sum(d.due) FILTER (WHERE d.days <= 0), 0),
        COALESCE(sum(d.due) FILTER (WHERE d.days BETWEEN 1 AND 30), 0),
        COALESCE(sum(d.due) FILTER (WHERE d.days BETWEEN 31 AND 60), 0),
        COALESCE(sum(d.due) FILTER (WHERE d.days BETWEEN 61 AND 90), 0),
        COALESCE(sum(d.due) FILTER (WHERE d.days > 90), 0),
        sum(d.due), max(i.dunning_level)
    FROM billing.invoices AS i
    CROSS JOIN LATERAL (
        SELECT p_as_of - i.due_date, i.total_amount - i.amount_paid - i.amount_credited
    ) AS d (days, due)
    WHERE i.status IN ('pending', 'overdue')
    GROUP BY i.tenant_id, i.currency
    ORDER BY i.tenant_id, i.currency;
$$;

COMMENT ON FUNCTION billing.get_aging IS
'What tenants owe by now on open invoices, by how many days p_as_of is after their due date; major units of currency.
dunning_level: the highest of them.';
