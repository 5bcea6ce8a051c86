-- credit: what usage costs that is not yet invoiced.
CREATE OR REPLACE FUNCTION billing.open_usage(
    p_tenant_id bigint,
    p_as_of timestamptz,
    p_occurred_by timestamptz DEFAULT NULL
)
RETURNS numeric
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_tenant record;
    v_by timestamptz := LEAST(p_as_of, p_occurred_by);
    v_last date;
    v_later timestamptz;
    v_open datemultirange;
    v_usage numeric;
    v_is_plain boolean;
BEGIN
    SELECT * INTO v_tenant FROM billing.require_tenant(p_tenant_id);
    v_last := (v_by AT TIME ZONE v_tenant.timezone)::date;
    -- Within a day of the past, its sum is too much. Now, and at the end of a day, it is not.
    IF v_by < now() AND ((v_by + interval '1 microsecond') AT TIME ZONE v_tenant.timezone)::date = v_last THEN
        v_later := v_by;
    END IF;

    -- On no day of an invoice that is past its draft.
    SELECT datemultirange(daterange(NULL, v_last, '[]')) - COALESCE(range_agg(daterange(i.period_start, i.period_end, '[]')), '{}')
    INTO v_open
    FROM billing.invoices AS i
    WHERE i.tenant_id = p_tenant_id
        AND i.status IN ('pending', 'paid', 'overdue')
        AND i.finalized_at <= p_as_of;

    -- Where every price is of single calls and messages, the sums are the cost.
    SELECT COALESCE(sum(s.total_cost), 0), bool_and(s.rate_id = 0) IS NOT FALSE
    INTO v_usage, v_is_plain
    FROM unnest(v_open) AS r (days)
    CROSS JOIN LATERAL (
        SELECT d.total_cost, d.rate_id
        FROM billing.daily_sums AS d
        WHERE d.tenant_id = p_tenant_id
            AND d.summary_date >= COALESCE(lower(r.days), '-infinity')
            AND d.summary_date < upper(r.days)
    ) AS s;

    IF v_later IS NOT NULL AND v_last <@ v_open THEN
        SELECT v_usage + COALESCE(sum(l.amount), 0)
        INTO v_usage
        FROM billing.list_later_usage(p_tenant_id, v_last, v_later) AS l;
    END IF;

    -- Else each billing period is priced by itself.
    IF NOT v_is_plain OR billing.has_period_terms(p_tenant_id, v_tenant.plan_id, v_by) THEN
        SELECT COALESCE(sum(c.amount), 0)
        INTO v_usage
        FROM (
            SELECT
                period_start, min(day) AS first_day, max(day) AS last_day,
                billing.period_starting_by(period_start + 32, v_tenant.billing_cycle_day) AS next_start
            FROM (
                SELECT d.day, billing.period_starting_by(d.day, v_tenant.billing_cycle_day) AS period_start
                FROM (
                    SELECT s.summary_date AS day
                    FROM billing.daily_sums AS s
                    WHERE s.tenant_id = p_tenant_id
                        AND s.summary_date <= v_last
                    UNION
                    SELECT v_last
                ) AS d
                WHERE d.day <@ v_open
            ) AS open_days
            GROUP BY period_start
        ) AS p
        CROSS JOIN LATERAL (
            SELECT ARRAY(
                SELECT l
                FROM billing.list_period_usage(
                    p_tenant_id, p.first_day, p.last_day,
                    LEAST(v_by, billing.start_of_day(p.next_start, v_tenant.timezone) - interval '1 microsecond'),
                    CASE WHEN p.last_day = v_last THEN v_later END
                ) AS l
            )
        ) AS u (usage)
        CROSS JOIN LATERAL (
            SELECT x.amount FROM unnest(u.usage) AS x
            UNION ALL
            SELECT t.amount
            FROM billing.price_plan_terms(
                v_tenant.plan_id, v_tenant.currency, p.period_start, p.next_start <= v_last, u.usage
            ) AS t
        ) AS c;
    END IF;

    RETURN v_usage + COALESCE((
        SELECT sum(a.amount)
        FROM billing.adjustments AS a
        LEFT JOIN billing.invoices AS i ON i.tenant_id = a.tenant_id AND i.id = a.invoice_id
        WHERE a.tenant_id = p_tenant_id
            AND a.created_at <= v_by
            AND (i.status IN ('pending', 'paid', 'overdue') AND i.finalized_at <= p_as_of) IS NOT TRUE
    ), 0);
END;
$$;

COMMENT ON FUNCTION billing.open_usage IS
'What usage and adjustments of p_tenant_id cost that occurred up to p_occurred_by (NULL: p_as_of) and were on no issued
invoice at p_as_of; exact, in major units of its currency, each billing period by its prices, allowances and limits of spend.
Constant in the number of records, but for an instant within a day of the past, for which the tenant''s records of that
month are looked through. Raises UB002.';
