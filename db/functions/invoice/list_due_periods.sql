-- invoice: the periods of a month that are not invoiced yet.
CREATE OR REPLACE FUNCTION billing.list_due_periods(p_tenant_ids bigint[], p_month date, p_at timestamptz DEFAULT now())
RETURNS TABLE (
    tenant_id bigint,
    period_start date,
    period_end date,
    nth integer,
    outcome text,
    reason text
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        d.tenant_id, d.first_day, d.last_day, row_number() OVER (PARTITION BY d.tenant_id ORDER BY d.first_day)::integer,
        CASE WHEN p_at < d.issuable_at THEN 'open' WHEN p.problem IS NOT NULL THEN 'refused' END,
        CASE
            WHEN p_at < d.issuable_at THEN format('can be issued from %s on', d.issuable_at)
            ELSE p.problem || ': ' || p.detail
        END
    FROM (
        SELECT
            t.id AS tenant_id, lower(open.days) AS first_day, upper(open.days) - 1 AS last_day,
            billing.start_of_day(upper(open.days), COALESCE(t.timezone, 'UTC')) + COALESCE(b.grace, '0') AS issuable_at
        FROM (
            SELECT date_trunc('month', p_month::timestamp)::date, (date_trunc('month', p_month::timestamp) + interval '1 month')::date - 1
        ) AS m (first_day, last_day)
        CROSS JOIN public.tenants AS t
        LEFT JOIN billing.tenant_billing AS b ON b.tenant_id = t.id
        CROSS JOIN LATERAL billing.list_billing_periods(COALESCE(t.billing_cycle_day, 1), m.first_day, m.last_day) AS l
        CROSS JOIN LATERAL unnest(
            datemultirange(daterange(l.period_start, l.period_end, '[]')) - COALESCE((
                SELECT range_agg(daterange(i.period_start, i.period_end, '[]'))
                FROM billing.invoices AS i
                WHERE i.tenant_id = t.id
                    AND i.status IN ('pending', 'paid', 'overdue')
                    AND i.period_start <= l.period_end
                    AND i.period_end >= l.period_start
            ), '{}')
        ) AS open (days)
        WHERE t.id = ANY (p_tenant_ids)
            AND lower(open.days) BETWEEN m.first_day AND m.last_day
    ) AS d
    LEFT JOIN LATERAL billing.find_invoice_problems(
        ARRAY[d.tenant_id], ARRAY[d.first_day], ARRAY[d.last_day], true
    ) AS p ON true;
$$;

COMMENT ON FUNCTION billing.list_due_periods IS
'The billing periods of these tenants that begin in the month of p_month and have no issued invoice: whole, or what issued
ones left of them where the billing day was moved; nth counts a tenant''s. outcome: open (not over at p_at, or in its grace
period), refused (see reason), or NULL: can be issued.';
