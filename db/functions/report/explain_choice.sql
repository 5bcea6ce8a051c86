-- report: whose usage it is, on which day it falls, and how its rate was found.
CREATE OR REPLACE FUNCTION billing.explain_choice(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_quantity numeric,
    p_destination text,
    p_at timestamptz,
    p_rate_id bigint
)
RETURNS TABLE (subject text, detail text, amount numeric)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_tenant billing.tenant_terms;
    v_plan text;
    v_destination text := COALESCE(p_destination, '');
    -- A prefix has at most 20 digits.
    v_prefixes text[] := ARRAY(SELECT left(v_destination, n) FROM generate_series(0, LEAST(length(v_destination), 20)) AS n);
    v_card record;
    v_found billing.pricing_rates;
    v_rate billing.pricing_rates;
BEGIN
    SELECT * INTO v_tenant
    FROM billing.tenant_terms AS t
    WHERE t.tenant_id = p_tenant_id
        AND t.valid_from <= p_at
    ORDER BY t.valid_from DESC
    LIMIT 1;
    v_plan := (SELECT p.name FROM billing.pricing_plans AS p WHERE p.id = v_tenant.plan_id);

    subject := 'tenant';
    detail := format(
        '%s, %s at that time, billed in %s',
        COALESCE(
            (SELECT concat_ws(', ', s.name, 'tenant ' || p_tenant_id) FROM billing.read_tenants(p_tenant_id) AS s),
            format('tenant %s, which is deleted', p_tenant_id)
        ),
        COALESCE('on plan ' || v_plan, 'on no plan'), v_tenant.currency
    );
    RETURN NEXT;

    subject := 'when';
    detail := format(
        '%s%s; it counts for %s', billing.show_time(p_at, v_tenant.timezone),
        CASE WHEN v_tenant.timezone <> 'UTC' THEN format(' (%s)', billing.show_time(p_at, 'UTC')) END,
        billing.day_in_zone(p_at, v_tenant.timezone)
    );
    RETURN NEXT;

    subject := 'what';
    detail := format(
        '%s/%s, %s%s%s', p_channel, p_resource_type, trim_scale(p_quantity),
        CASE WHEN p_resource_type = 'minute' THEN ' s' END,
        COALESCE(' to ' || p_destination, '; without a destination only prices for every destination match')
    );
    RETURN NEXT;

    FOR v_card IN
        SELECT c.name, held.rates, missed.prefix, missed.effective_from, missed.effective_until
        FROM (VALUES
            (1, 'tenant:' || p_tenant_id, p_tenant_id),
            (2, 'plan:' || v_plan, -v_tenant.plan_id),
            (3, 'default', 0)
        ) AS c (turn, name, card)
        -- Every price that matches then, the longest prefix first.
        CROSS JOIN LATERAL (
            SELECT array_agg(r ORDER BY length(r.prefix) DESC) AS rates
            FROM billing.pricing_rates AS r
            WHERE r.card = c.card
                AND r.channel = p_channel
                AND r.resource_type = p_resource_type
                AND r.prefix = ANY (v_prefixes)
                AND r.is_active
                AND r.effective_from <= p_at
                AND (r.effective_until IS NULL OR r.effective_until > p_at)
        ) AS held
        -- One that would come before them but for its dates; the nearest in time.
        LEFT JOIN LATERAL (
            SELECT r.prefix, r.effective_from, r.effective_until
            FROM billing.pricing_rates AS r
            WHERE r.card = c.card
                AND r.channel = p_channel
                AND r.resource_type = p_resource_type
                AND r.prefix = ANY (v_prefixes)
                AND r.is_active
                AND (r.effective_from > p_at OR r.effective_until <= p_at)
                AND (length(r.prefix) > length((held.rates[1]).prefix)) IS NOT FALSE
            ORDER BY GREATEST(r.effective_from - p_at, p_at - r.effective_until), length(r.prefix) DESC
            LIMIT 1
        ) AS missed ON true
        WHERE c.card IS NOT NULL
        ORDER BY c.turn
    LOOP
        subject := 'card ' || v_card.name;
        IF v_found.id IS NOT NULL THEN
            detail := 'not asked, since a card before it has a price';
            RETURN NEXT;
            CONTINUE;
        END IF;
        detail := CASE
            WHEN v_card.rates IS NULL THEN format('no price for %s/%s%s', p_channel, p_resource_type, ' to ' || p_destination)
            WHEN (v_card.rates[1]).currency <> v_tenant.currency THEN format(
                'the price for %s is in %s and does not count for a tenant billed in %s',
                COALESCE('prefix ' || NULLIF((v_card.rates[1]).prefix, ''), 'every destination'),
                (v_card.rates[1]).currency, v_tenant.currency
            )
            WHEN (v_card.rates[1]).prefix = '' THEN 'its price for every destination matches'
            ELSE format('prefix %s matches', (v_card.rates[1]).prefix) || COALESCE((
                SELECT format(
                    '; %s would too, but the longest wins',
                    string_agg(COALESCE(NULLIF(r.prefix, ''), 'every destination'), ', ' ORDER BY length(r.prefix) DESC)
                )
                FROM unnest(v_card.rates[2:]) AS r
                HAVING count(*) > 0
            ), '')
        END || CASE
            WHEN v_card.prefix IS NULL THEN ''
            ELSE format(
                '; its price for %s was not in force then: %s',
                COALESCE('prefix ' || NULLIF(v_card.prefix, ''), 'every destination'),
                CASE
                    WHEN v_card.effective_from > p_at THEN 'from ' || billing.show_time(v_card.effective_from, v_tenant.timezone)
                    ELSE 'until ' || billing.show_time(v_card.effective_until, v_tenant.timezone)
                END
            )
        END;
        RETURN NEXT;
        IF (v_card.rates[1]).currency = v_tenant.currency THEN
            v_found := v_card.rates[1];
        END IF;
    END LOOP;

    SELECT * INTO v_rate FROM billing.pricing_rates AS r WHERE r.id = p_rate_id;
    subject := 'rate';
    detail := CASE
        WHEN v_rate.id IS NULL THEN format('rate %s, which was deleted since', p_rate_id)
        ELSE format(
            'rate %s%s, %s, in force from %s %s%s', p_rate_id, ' (' || v_rate.description || ')',
            COALESCE('prefix ' || NULLIF(v_rate.prefix, ''), 'for every destination'),
            billing.show_time(v_rate.effective_from, v_tenant.timezone),
            COALESCE('until ' || billing.show_time(v_rate.effective_until, v_tenant.timezone), 'on'),
            CASE WHEN NOT v_rate.is_active THEN '; it was withdrawn since' END
        )
    END;
    RETURN NEXT;
    IF v_found.id IS DISTINCT FROM p_rate_id THEN
        subject := 're-rating';
        detail := format(
            'prices or the plan have changed since: by now %s. What was charged stands until it is re-rated',
            CASE
                WHEN v_found.id IS NULL THEN 'no rate would be found'
                ELSE format('rate %s%s would be used', v_found.id, ' (' || v_found.description || ')')
            END
        );
        RETURN NEXT;
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.explain_choice IS
'The rows that say whose usage p_quantity (seconds for minutes, else units) at p_at is and for which day it counts, which
cards were asked for a price to p_destination (as normalize_destination gives it), which prefix won, and what rate
p_rate_id, by which it is charged, is; one more where the prices as they are now would choose another. amount is NULL.';
