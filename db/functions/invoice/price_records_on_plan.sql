-- invoice: the records of whole billing periods, priced on a plan, summed by rate.
CREATE OR REPLACE FUNCTION billing.price_records_on_plan(
    p_tenant_ids bigint[],
    p_plan_id bigint,
    p_from date,
    p_to date
)
RETURNS TABLE (
    tenant_id bigint,
    period_start date,
    channel text,
    resource_type text,
    rate_id bigint,
    period_rate_id bigint,
    quantity numeric,
    billed numeric,
    record_count bigint,
    total_cost numeric
)
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    WITH periods AS MATERIALIZED (
        SELECT
            t.id AS tenant_id, COALESCE(t.currency, 'USD') AS currency, billing.list_cards(t.id, p_plan_id) AS cards,
            b.period_start, b.period_end
        FROM public.tenants AS t
        CROSS JOIN LATERAL billing.list_billing_periods(COALESCE(t.billing_cycle_day, 1), p_from, p_to) AS b
        WHERE t.id = ANY (p_tenant_ids)
    ),
    -- Most resources have one price for every destination: it is looked up once for all records, not once for each.
    resources AS MATERIALIZED (
        SELECT x.card, x.channel, x.resource_type, bool_or(x.lo <> '') AS has_prefixes
        FROM billing.resolved_prices AS x
        GROUP BY x.card, x.channel, x.resource_type
    ),
    prices AS (
        SELECT
            s.*, f.rate_id, f.unit_price, f.initial_increment, f.billing_increment, f.connection_fee, f.minimum_charge,
            f.by_terms, lead(s.since) OVER (
                PARTITION BY s.cards, s.currency, s.channel, s.resource_type ORDER BY s.since
            ) AS until
        FROM (
            SELECT DISTINCT k.cards, k.currency, r.channel, r.resource_type, x.valid_from AS since
            FROM (SELECT DISTINCT cards, currency FROM periods) AS k
            INNER JOIN resources AS r ON r.card = ANY (k.cards)
            INNER JOIN billing.resolved_prices AS x USING (card, channel, resource_type)
            WHERE NOT EXISTS (
                SELECT
                FROM resources AS o
                WHERE o.card = ANY (k.cards)
                    AND o.channel = r.channel
                    AND o.resource_type = r.resource_type
                    AND o.has_prefixes
            )
        ) AS s
        LEFT JOIN LATERAL billing.find_price(s.cards, s.channel, s.resource_type, NULL, s.since, s.currency) AS f ON true
    ),
    -- By tenant, so that records meet them in one hash join, whatever the planner makes of the sizes.
    offers AS MATERIALIZED (
        SELECT t.tenant_id, t.period_start, t.period_end, p.*
        FROM periods AS t
        INNER JOIN prices AS p USING (cards, currency)
    )
    SELECT
        u.tenant_id, u.period_start, u.channel, u.resource_type, u.rate_id, c.period_rate_id,
        sum(u.quantity),
        sum(u.sign * billing.in_seconds(u.resource_type, c.billed_quantity)),
        sum(u.sign)::bigint,
        sum(u.sign * c.total_cost)
    FROM (
        SELECT
            x.tenant_id, p.period_start, x.channel, x.resource_type, x.quantity, x.occurred_at,
            abs(COALESCE(x.seconds, x.quantity)) AS measured,
            CASE x.kind WHEN 'charge' THEN 1 ELSE -1 END AS sign,
            p.rate_id, p.unit_price, p.initial_increment, p.billing_increment, p.connection_fee, p.minimum_charge,
            p.by_terms
        FROM billing.usage_records AS x
        INNER JOIN offers AS p
            ON p.tenant_id = x.tenant_id
            AND p.channel = x.channel
            AND p.resource_type = x.resource_type
            AND x.usage_date BETWEEN p.period_start AND p.period_end
            AND p.since <= x.occurred_at
            AND (p.until IS NULL OR p.until > x.occurred_at)
        -- Said once more for the index and the partitions: a period begins and ends at most 31 days from a day in it.
        WHERE x.tenant_id = ANY (p_tenant_ids)
            AND x.usage_date BETWEEN p_from - 31 AND p_to + 31
        UNION ALL
        -- The others by their destination, or not at all.
        SELECT
            x.tenant_id, t.period_start, x.channel, x.resource_type, x.quantity, x.occurred_at,
            abs(COALESCE(x.seconds, x.quantity)),
            CASE x.kind WHEN 'charge' THEN 1 ELSE -1 END,
            f.rate_id, f.unit_price, f.initial_increment, f.billing_increment, f.connection_fee, f.minimum_charge,
            f.by_terms
        FROM billing.usage_records AS x
        INNER JOIN periods AS t
            ON t.tenant_id = x.tenant_id
            AND x.usage_date BETWEEN t.period_start AND t.period_end
        LEFT JOIN LATERAL billing.find_price(
            t.cards, x.channel, x.resource_type, x.destination, x.occurred_at, t.currency
        ) AS f ON true
        WHERE x.tenant_id = ANY (p_tenant_ids)
            AND x.usage_date BETWEEN p_from - 31 AND p_to + 31
            AND NOT EXISTS (
                SELECT
                FROM offers AS p
                WHERE p.tenant_id = x.tenant_id
                    AND p.channel = x.channel
                    AND p.resource_type = x.resource_type
            )
    ) AS u
    LEFT JOIN LATERAL billing.apply_price(
        u.rate_id, u.unit_price, u.initial_increment, u.billing_increment, u.connection_fee, u.minimum_charge, u.by_terms,
        u.resource_type, u.measured, u.occurred_at
    ) AS c ON u.rate_id IS NOT NULL
    GROUP BY u.tenant_id, u.period_start, u.channel, u.resource_type, u.rate_id, c.period_rate_id;
$$;

COMMENT ON FUNCTION billing.price_records_on_plan IS
'All records of p_tenant_ids in the billing periods that p_from to p_to touch, each priced by what holds at its
occurred_at on the tenant''s own card, that of plan p_plan_id, then the default card; a reversal takes off what its charge
adds. rate_id NULL: no price. period_rate_id as in priced_usage. quantity in units of the resource, billed in seconds for
minutes, else units; total_cost exact, in major units of the tenant''s currency.';
