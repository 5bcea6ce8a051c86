-- report: what a day's usage is to be lessened by to give what occurred up to an instant of it.
CREATE OR REPLACE FUNCTION billing.list_later_usage(p_tenant_id bigint, p_day date, p_by timestamptz)
RETURNS SETOF billing.period_charge
LANGUAGE sql
STABLE
AS $$
    SELECT
        'usage', u.channel, u.resource_type, r.rate_id, NULL::numeric, -sum(u.quantity),
        -sum(billing.in_seconds(u.resource_type, u.billed_quantity)),
        -sum(CASE u.kind WHEN 'charge' THEN 1 ELSE -1 END), -sum(u.total_cost)
    FROM billing.usage_records AS u
    CROSS JOIN LATERAL (
        SELECT CASE WHEN u.total_cost = 0 THEN billing.period_rate_of(u.rate_id) ELSE 0 END
    ) AS r (rate_id)
    WHERE u.tenant_id = p_tenant_id
        AND u.usage_date = p_day
        AND u.occurred_at > p_by
    GROUP BY u.channel, u.resource_type, r.rate_id;
$$;

COMMENT ON FUNCTION billing.list_later_usage IS
'Usage of p_tenant_id on p_day that occurred after p_by, negated, by the rate that prices a period (0: none) as daily_sums has
it: added to the day''s sums it leaves what occurred up to p_by. Reads the tenant''s records of that month; p_by NULL: nothing.';
