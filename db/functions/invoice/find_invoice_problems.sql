-- invoice: why a period cannot be invoiced.
CREATE OR REPLACE FUNCTION billing.find_invoice_problems(
    p_tenant_ids bigint[],
    p_from date[],
    p_to date[],
    p_to_issue boolean DEFAULT false
)
RETURNS TABLE (tenant_id bigint, sqlstate text, problem text, detail text, hint text)
LANGUAGE sql
STABLE
AS $$
    SELECT a.tenant_id, p.sqlstate, p.problem, p.detail, p.hint
    FROM unnest(p_tenant_ids, p_from, p_to) AS a (tenant_id, from_date, to_date)
    CROSS JOIN LATERAL (
        SELECT
            'UB006' AS sqlstate, 'usage of this tenant is not rated yet' AS problem,
            format('%s rows of tenant %s are open in billing.unrated_usage.', count(*), a.tenant_id) AS detail,
            'Mend what their reason says, run billing.retry_unrated(), and generate the invoice again.' AS hint
        FROM billing.unrated_usage AS u
        WHERE u.tenant_id = a.tenant_id
            AND u.resolved_at IS NULL
        HAVING count(*) > 0
        UNION ALL
        SELECT
            'UB006', 'usage of these days was taken out of usage_records', billing.describe_detached(min(d.month)),
            'Bring it back with billing.attach_month, or irisx-usage restore FILE where it is archived.'
        FROM billing.detached_months AS d
        WHERE d.month <= a.to_date
            AND d.month + interval '1 month' > a.from_date
        HAVING count(*) > 0
        UNION ALL
        SELECT
            'UB006', 'nothing is issued to this tenant for now', format('%s: %s.', h.source, h.reason),
            'Mend it, and verify again or delete the row of billing.invoice_holds.'
        FROM billing.invoice_holds AS h
        WHERE h.tenant_id IN (a.tenant_id, 0)
            AND p_to_issue
        UNION ALL
        SELECT
            'UB005', 'the plan''s terms are in another currency',
            format('Plan %s is in %s, tenant %s in %s.', x.name, x.currency, a.tenant_id, COALESCE(t.currency, 'USD')),
            'Give the tenant a plan in its own currency.'
        FROM public.tenants AS t
        INNER JOIN (
            SELECT y.plan_id, y.valid_from, lead(y.valid_from, 1, 'infinity') OVER (ORDER BY y.valid_from) AS valid_until
            FROM billing.tenant_terms AS y
            WHERE y.tenant_id = a.tenant_id
        ) AS held
            ON held.valid_from < billing.start_of_day(a.to_date + 1, COALESCE(t.timezone, 'UTC'))
            AND held.valid_until > billing.start_of_day(a.from_date, COALESCE(t.timezone, 'UTC'))
        INNER JOIN billing.pricing_plans AS x ON x.id = held.plan_id
        WHERE t.id = a.tenant_id
            AND x.currency <> COALESCE(t.currency, 'USD')
            AND (
                x.monthly_base_fee > 0
                OR num_nonnulls(x.minimum_spend, x.maximum_spend) > 0
                OR EXISTS (SELECT FROM billing.plan_allowances AS w WHERE w.plan_id = x.id)
            )
        LIMIT 1
    ) AS p;
$$;

COMMENT ON FUNCTION billing.find_invoice_problems IS
'For each of these periods that cannot be invoiced as things stand, one reason: its SQLSTATE, and what generate_invoice
raises it with. p_to_issue: a tenant that is held is one, too. No row for the others.';
