-- invoice: what real usage would have cost on another plan.
CREATE OR REPLACE FUNCTION billing.simulate_plan(p_tenant_id bigint, p_plan_name text, p_from date, p_to date)
RETURNS TABLE (
    tenant_id bigint,
    period_start date,
    kind text,
    channel text,
    resource_type text,
    description text,
    quantity numeric,
    unit_price numeric,
    amount numeric,
    currency text
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
-- One large statement whose steps are of sizes that nobody can estimate: each is hashed, once, in memory.
SET enable_nestloop = off
SET jit = off
SET plan_cache_mode = force_custom_plan
SET work_mem = '64MB'
AS $$
DECLARE
    v_plan billing.pricing_plans;
    v_tenants bigint[];
    v_currency text;
    v_count bigint;
BEGIN
    IF (p_from <= p_to AND p_from >= '0001-01-01' AND p_to <= '9999-12-31') IS NOT TRUE THEN
        RAISE EXCEPTION 'bad range of days'
            USING ERRCODE = 'UB012',
                DETAIL = format('From %s to %s.', p_from, p_to),
                HINT = 'p_from is not after p_to; both are included.';
    END IF;
    SELECT * INTO v_plan FROM billing.pricing_plans AS p WHERE p.name = p_plan_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown plan'
            USING ERRCODE = 'UB002',
                DETAIL = format('There is no plan %L.', p_plan_name),
                HINT = 'billing.pricing_plans lists the plans.';
    END IF;

    IF p_tenant_id IS NULL THEN
        -- Those who could be on the plan, and those who are.
        v_tenants := ARRAY(
            SELECT t.id FROM public.tenants AS t WHERE COALESCE(t.currency, 'USD') = v_plan.currency OR t.plan_id = v_plan.id
        );
    ELSE
        SELECT t.currency INTO v_currency FROM billing.require_tenant(p_tenant_id) AS t;
        v_tenants := ARRAY[p_tenant_id];
    END IF;

    -- As generate_invoice: a tenant can be on a plan of another currency as long as that plan itself asks for no money.
    SELECT t.id, COALESCE(t.currency, 'USD')
    INTO tenant_id, v_currency
    FROM public.tenants AS t
    WHERE t.id = ANY (v_tenants)
        AND COALESCE(t.currency, 'USD') <> v_plan.currency
        AND (
            t.plan_id IS DISTINCT FROM v_plan.id
            OR v_plan.monthly_base_fee > 0
            OR num_nonnulls(v_plan.minimum_spend, v_plan.maximum_spend) > 0
            OR EXISTS (SELECT FROM billing.plan_allowances AS a WHERE a.plan_id = v_plan.id)
        )
    ORDER BY t.id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the plan''s terms are in another currency'
            USING ERRCODE = 'UB005',
                DETAIL = format('Plan %s is in %s, tenant %s in %s.', v_plan.name, v_plan.currency, tenant_id, v_currency),
                HINT = 'Simulate a plan in the tenant''s own currency.';
    END IF;

    -- What is not there cannot be priced, and would pass for free.
    SELECT u.tenant_id, count(*) OVER ()
    INTO tenant_id, v_count
    FROM billing.unrated_usage AS u
    WHERE u.tenant_id = ANY (v_tenants)
        AND u.resolved_at IS NULL
    ORDER BY u.tenant_id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'usage of this tenant is not rated yet'
            USING ERRCODE = 'UB006',
                DETAIL = format('%s rows are open in billing.unrated_usage, the first of tenant %s.', v_count, tenant_id),
                HINT = 'Mend what their reason says, run billing.retry_unrated(), and simulate again.';
    END IF;
    PERFORM billing.require_attached_months(min(b.period_start), max(b.period_end))
    FROM (SELECT DISTINCT COALESCE(t.billing_cycle_day, 1) FROM public.tenants AS t WHERE t.id = ANY (v_tenants)) AS c (day)
    CROSS JOIN LATERAL billing.list_billing_periods(c.day, p_from, p_to) AS b;

    RETURN QUERY
    WITH priced AS MATERIALIZED (
        SELECT * FROM billing.price_records_on_plan(v_tenants, v_plan.id, p_from, p_to)
    ),
    -- One line for each price, as list_invoice_usage has them.
    sums AS (
        SELECT
            s.tenant_id, s.period_start,
            array_agg(
                ('usage', s.channel, s.resource_type, s.period_rate_id, s.unit_price, s.quantity, s.billed,
                    s.record_count, s.amount)::billing.period_charge
            ) AS sums
        FROM (
            SELECT
                p.tenant_id, p.period_start, p.channel, p.resource_type, p.period_rate_id,
                CASE WHEN p.period_rate_id IS NULL THEN r.unit_price END AS unit_price,
                sum(p.quantity) AS quantity, sum(p.billed) AS billed, sum(p.record_count)::bigint AS record_count,
                CASE
                    WHEN bool_and(p.rate_id IS NOT NULL OR (p.record_count = 0 AND p.quantity = 0))
                        THEN COALESCE(sum(p.total_cost), 0)
                    ELSE billing.refuse_unpriced(
                        v_plan.name, p.tenant_id, p.channel, p.resource_type, sum(p.record_count)::bigint
                    )
                END AS amount
            FROM priced AS p
            LEFT JOIN billing.pricing_rates AS r ON r.id = p.rate_id
            GROUP BY
                p.tenant_id, p.period_start, p.channel, p.resource_type, p.period_rate_id, r.unit_price,
                r.initial_increment, r.billing_increment, r.connection_fee, r.minimum_charge, r.charge_model, r.terms,
                r.calendar_id
        ) AS s
        GROUP BY s.tenant_id, s.period_start
    ),
    periods AS (
        SELECT
            t.id, b.period_start, COALESCE(t.currency, 'USD') AS currency,
            billing.currency_decimals(COALESCE(t.currency, 'USD')) AS decimals,
            ARRAY(
                SELECT u
                FROM billing.price_sums(
                    billing.list_cards(t.id, v_plan.id), COALESCE(t.currency, 'USD'),
                    billing.start_of_day(b.period_end + 1, COALESCE(t.timezone, 'UTC')) - interval '1 microsecond',
                    s.sums
                ) AS u
                WHERE u.quantity <> 0
                    OR u.amount <> 0
            ) AS usage
        FROM public.tenants AS t
        CROSS JOIN LATERAL billing.list_billing_periods(COALESCE(t.billing_cycle_day, 1), p_from, p_to) AS b
        LEFT JOIN sums AS s ON s.tenant_id = t.id AND s.period_start = b.period_start
        WHERE t.id = ANY (v_tenants)
        OFFSET 0
    )
    SELECT
        l.id, l.period_start, l.kind, l.channel, l.resource_type, l.description, l.quantity, l.unit_price,
        round(l.amount, l.decimals), l.currency
    FROM (
        SELECT
            1 AS part, p.id, p.period_start, 'plan_fee' AS kind, NULL::text AS channel, NULL::text AS resource_type,
            format('%s, monthly fee', v_plan.display_name) AS description, 1::numeric AS quantity,
            v_plan.monthly_base_fee AS unit_price, NULL::bigint AS rate_id, v_plan.monthly_base_fee AS amount,
            p.currency, p.decimals
        FROM periods AS p
        WHERE v_plan.monthly_base_fee > 0
        UNION ALL
        SELECT
            c.part, p.id, p.period_start, c.kind, c.channel, c.resource_type, c.description, c.quantity, c.unit_price,
            c.rate_id, c.amount, p.currency, p.decimals
        FROM periods AS p
        CROSS JOIN LATERAL (
            SELECT 2 AS part, u.*, billing.describe_charge(u) AS description
            FROM unnest(p.usage) AS u
            UNION ALL
            SELECT CASE a.kind WHEN 'credit' THEN 3 ELSE 4 END, a.*, billing.describe_charge(a)
            FROM billing.price_plan_terms(v_plan.id, p.currency, p.period_start, true, p.usage, p.decimals) AS a
        ) AS c
    ) AS l
    ORDER BY l.id, l.period_start, l.part, l.channel, l.resource_type, l.unit_price, l.rate_id;
END;
$$;

COMMENT ON FUNCTION billing.simulate_plan IS
'What the real usage of p_tenant_id (NULL: of every tenant in the plan''s currency) would have cost on plan p_plan_name:
lines as generate_invoice would draw them up for each whole billing period that p_from to p_to (both included) touch, the
fee, usage, what the plan includes, minimum or maximum spend; in that order for each tenant and period, usage by channel,
resource and price. Each amount is rounded to the currency, and they add up to the invoice''s subtotal (which may also carry
adjustments of other periods). All usage is priced by what holds at its occurred_at: by the tenant''s own card, the
plan''s, then the default. Usage without a price there is UB001, never free. Raises UB001, UB002, UB005 (plan in another
currency), UB006 (as generate_invoice), UB012.';
