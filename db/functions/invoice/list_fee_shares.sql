-- invoice: which part of a period each plan of a tenant held.
CREATE OR REPLACE FUNCTION billing.list_fee_shares(
    p_tenant_id bigint,
    p_from date,
    p_to date,
    p_billing_cycle_day integer,
    p_timezone text
)
RETURNS TABLE (
    plan_id bigint,
    first_day date,
    last_day date,
    days integer,
    of_days integer,
    fee numeric,
    amount numeric
)
LANGUAGE sql
STABLE
AS $$
    -- The whole period, which from and to may be a part of where the billing day was moved.
    WITH whole AS (
        SELECT
            w.first_day, w.last_day,
            GREATEST(billing.start_of_day(p_from, p_timezone), b.service_start) AS from_at,
            LEAST(billing.start_of_day(p_to + 1, p_timezone), b.service_end) AS until_at,
            extract(epoch FROM
                billing.start_of_day(w.last_day + 1, p_timezone) - billing.start_of_day(w.first_day, p_timezone)
            ) AS seconds
        FROM (
            SELECT
                billing.period_starting_by(p_from, p_billing_cycle_day),
                billing.period_starting_by(
                    billing.period_starting_by(p_from, p_billing_cycle_day) + 32, p_billing_cycle_day
                ) - 1
        ) AS w (first_day, last_day)
        LEFT JOIN billing.tenant_billing AS b ON b.tenant_id = p_tenant_id
    ),
    held AS (
        SELECT
            t.plan_id, x.from_at, x.until_at,
            (x.from_at AT TIME ZONE p_timezone)::date AS first_day,
            ((x.until_at - interval '1 microsecond') AT TIME ZONE p_timezone)::date AS last_day
        FROM (
            SELECT y.plan_id, y.valid_from, lead(y.valid_from, 1, 'infinity') OVER (ORDER BY y.valid_from) AS valid_until
            FROM billing.tenant_terms AS y
            WHERE y.tenant_id = p_tenant_id
        ) AS t
        CROSS JOIN whole AS w
        CROSS JOIN LATERAL (
            SELECT GREATEST(t.valid_from, w.from_at), LEAST(t.valid_until, w.until_at)
        ) AS x (from_at, until_at)
        WHERE x.from_at < x.until_at
    ),
    -- A day belongs to the plan at its end. The same plan in another zone goes on.
    owned AS (
        SELECT
            h.*,
            h.last_day - CASE WHEN lead(h.first_day) OVER in_time = h.last_day THEN 1 ELSE 0 END AS last_owned,
            lead(h.from_at) OVER in_time IS NULL AS is_last,
            h.plan_id IS DISTINCT FROM lag(h.plan_id) OVER in_time AS is_another
        FROM held AS h
        WINDOW in_time AS (ORDER BY h.from_at)
    ),
    stretches AS (
        SELECT
            s.plan_id, min(s.first_day) AS first_day, max(s.last_owned) AS last_day,
            sum(s.last_owned - s.first_day + 1)::integer AS days,
            sum(extract(epoch FROM s.until_at - s.from_at)) AS seconds, bool_or(s.is_last) AS is_last
        FROM (SELECT o.*, count(*) FILTER (WHERE o.is_another) OVER (ORDER BY o.from_at) AS stretch FROM owned AS o) AS s
        GROUP BY s.stretch, s.plan_id
    )
    SELECT
        s.plan_id, s.first_day, GREATEST(s.last_day, s.first_day), s.days, w.last_day - w.first_day + 1, p.monthly_base_fee,
        billing.round_quotient(p.monthly_base_fee * share.part, share.of)
    FROM stretches AS s
    CROSS JOIN whole AS w
    INNER JOIN billing.pricing_plans AS p ON p.id = s.plan_id
    CROSS JOIN LATERAL (
        SELECT
            CASE p.proration WHEN 'day' THEN s.days WHEN 'second' THEN s.seconds ELSE s.is_last::integer END,
            CASE p.proration WHEN 'day' THEN w.last_day - w.first_day + 1 WHEN 'second' THEN w.seconds ELSE 1 END
    ) AS share (part, of)
    WHERE share.part > 0
        AND p.monthly_base_fee > 0;
$$;

COMMENT ON FUNCTION billing.list_fee_shares IS
'What the plans of p_tenant_id ask for the days p_from to p_to, one billing period or the part of one: a row for each
stretch of time on one plan with a fee. days of of_days it held; fee: of a whole period; amount: its share of it, by
pricing_plans.proration, rounded once to 10 decimals, major units of the plan''s currency.';
