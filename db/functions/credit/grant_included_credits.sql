-- credit: the credit that comes with the plan, for one billing period.
CREATE OR REPLACE FUNCTION billing.grant_included_credits(p_tenant_id bigint, p_at timestamptz DEFAULT now())
RETURNS numeric
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_tenant record;
    v_period record;
    v_from timestamptz;
    v_until timestamptz;
    v_due numeric;
    v_granted numeric;
    v_entries bigint;
    v_taken record;
    v_reference text;
BEGIN
    PERFORM billing.require_tenant(p_tenant_id);
    PERFORM billing.lock_credit(p_tenant_id);
    IF EXISTS (SELECT FROM public.tenants AS t WHERE t.id = p_tenant_id AND t.status = 'cancelled') THEN
        RETURN 0;
    END IF;
    SELECT * INTO v_tenant FROM billing.require_tenant(p_tenant_id);
    SELECT * INTO v_period FROM billing.get_billing_period(p_tenant_id, p_at);
    v_from := billing.start_of_day(v_period.period_start, v_tenant.timezone);
    v_until := billing.start_of_day(v_period.period_end + 1, v_tenant.timezone);

    -- Where the billing cycle or the zone was moved, the credit of the old period lasts, and the new one's follows it.
    v_from := GREATEST(v_from, (
        SELECT max(e.expires_at)
        FROM billing.credit_entries AS e
        WHERE e.tenant_id = p_tenant_id
            AND e.kind = 'included'
            AND e.amount > 0
            AND e.expires_at > v_from
            AND e.valid_from < v_until
            AND e.expires_at <> v_until
    ));
    IF v_from > p_at THEN
        INSERT INTO billing.included_grants AS g (tenant_id, plan_id, granted_until)
        VALUES (p_tenant_id, v_tenant.plan_id, v_from)
        ON CONFLICT (tenant_id) DO UPDATE
        SET plan_id = EXCLUDED.plan_id, granted_until = GREATEST(g.granted_until, EXCLUDED.granted_until);
        RETURN 0;
    END IF;

    -- Each day counts for the plan that the tenant is on when it ends; days to come, for the plan of now.
    SELECT round(
        COALESCE(sum(p.included_credits) FILTER (WHERE d.day + interval '1 day' > v_from AT TIME ZONE v_tenant.timezone), 0) / count(*),
        billing.currency_decimals(v_tenant.currency)
    )
    INTO v_due
    FROM generate_series(v_period.period_start::timestamp, v_period.period_end::timestamp, interval '1 day') AS d (day)
    LEFT JOIN LATERAL (
        SELECT t.plan_id
        FROM billing.tenant_terms AS t
        WHERE t.tenant_id = p_tenant_id
            AND t.valid_from < billing.start_of_day(d.day::date + 1, v_tenant.timezone)
        ORDER BY t.valid_from DESC
        LIMIT 1
    ) AS t ON true
    LEFT JOIN billing.pricing_plans AS p ON p.id = t.plan_id AND p.currency = v_tenant.currency;

    -- What a void invoice gave back is none of it.
    SELECT COALESCE(sum(e.amount), 0), count(*)
    INTO v_granted, v_entries
    FROM billing.credit_entries AS e
    WHERE e.tenant_id = p_tenant_id
        AND e.kind = 'included'
        AND e.valid_from = v_from
        AND e.reference LIKE 'included %';
    v_due := v_due - v_granted;
    v_reference := format('included %s%s', v_period.period_start, ' ' || NULLIF(v_entries, 0) + 1);

    IF v_due > 0 THEN
        PERFORM billing.enter_credit(
            p_tenant_id, v_due, 'included', v_reference, v_until, p_valid_from => v_from
        );
    ELSIF v_due < 0 THEN
        -- A smaller plan takes back what is not used yet.
        SELECT
            array_agg(t.entry_id) AS lots, array_agg(LEAST(t.amount, -v_due - t.before)) AS amounts,
            COALESCE(sum(LEAST(t.amount, -v_due - t.before)), 0) AS amount
        INTO v_taken
        FROM (
            SELECT u.entry_id, u.amount, sum(u.amount) OVER (ORDER BY u.entry_id DESC) - u.amount AS before
            FROM billing.list_unused_credit(p_tenant_id, now(), clock_timestamp()) AS u
            INNER JOIN billing.credit_entries AS e ON e.tenant_id = p_tenant_id AND e.id = u.entry_id
            WHERE e.kind = 'included'
                AND e.valid_from = v_from
        ) AS t
        WHERE t.before < -v_due;
        v_due := -v_taken.amount;
        IF v_due < 0 THEN
            PERFORM billing.enter_credit(
                p_tenant_id, v_due, 'included', v_reference, p_valid_from => v_from,
                p_lots => v_taken.lots, p_amounts => v_taken.amounts
            );
        END IF;
    END IF;

    INSERT INTO billing.included_grants AS g (tenant_id, plan_id, granted_until)
    VALUES (p_tenant_id, v_tenant.plan_id, v_until)
    ON CONFLICT (tenant_id) DO UPDATE
    SET plan_id = EXCLUDED.plan_id, granted_until = EXCLUDED.granted_until
    WHERE g.granted_until <= EXCLUDED.granted_until;
    RETURN v_due;
END;
$$;

COMMENT ON FUNCTION billing.grant_included_credits IS
'Enters the included credit of the plan of p_tenant_id for the billing period that holds p_at, from its beginning to its end,
and gives what it entered. Again enters nothing, nor for a tenant that is cancelled. After a change of plan: the difference,
each day counted for the plan that held when it ended, rounded to the currency, half away from zero; a smaller plan takes back
at most what is unused. Called by maintain() for every tenant, and by who needs it sooner. Raises UB002.';
