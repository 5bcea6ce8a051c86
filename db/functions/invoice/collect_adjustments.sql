-- invoice: what came to the days of issued invoices since, as adjustments for the next one.
CREATE OR REPLACE FUNCTION billing.collect_adjustments(
    p_tenant_ids bigint[],
    p_reference text DEFAULT NULL,
    p_description text DEFAULT 'Usage of %s to %s recorded or corrected since'
)
RETURNS bigint
LANGUAGE sql
SET jit = off
AS $$
    WITH adjusted AS MATERIALIZED (
        SELECT
            i.tenant_id, i.id, i.period_start, i.period_end, i.plan_id, terms.cards, terms.currency, at.at,
            COALESCE(latest.usage_cut, i.usage_cut) AS cut, counted.changes
        FROM billing.invoices AS i
        LEFT JOIN LATERAL (
            SELECT a.usage_cut, a.usage_changes
            FROM billing.adjustments AS a
            WHERE a.tenant_id = i.tenant_id
                AND a.adjusted_invoice_id = i.id
            ORDER BY a.usage_changes DESC
            LIMIT 1
        ) AS latest ON true
        CROSS JOIN LATERAL (
            SELECT COALESCE(sum(d.changes), 0)::bigint
            FROM billing.daily_sums AS d
            WHERE d.tenant_id = i.tenant_id
                AND d.summary_date BETWEEN i.period_start AND i.period_end
        ) AS counted (changes)
        LEFT JOIN public.tenants AS t ON t.id = i.tenant_id
        CROSS JOIN LATERAL (
            SELECT billing.start_of_day(i.period_end + 1, COALESCE(t.timezone, 'UTC')) - interval '1 microsecond'
        ) AS at (at)
        CROSS JOIN LATERAL (
            SELECT x.cards, x.currency
            FROM billing.tenant_terms AS x
            WHERE x.tenant_id = i.tenant_id
                AND x.valid_from <= at.at
            ORDER BY x.valid_from DESC
            LIMIT 1
        ) AS terms
        WHERE i.tenant_id = ANY (p_tenant_ids)
            AND i.status IN ('pending', 'paid', 'overdue')
            AND i.usage_cut IS NOT NULL
            AND counted.changes <> COALESCE(latest.usage_changes, i.usage_changes)
    ),
    -- All there is now, and the same without what came since: one snapshot.
    summed AS (
        SELECT
            i.*,
            ARRAY(
                SELECT
                    ('usage', s.channel, s.resource_type, NULLIF(s.rate_id, 0), NULL, s.total_quantity, s.billed,
                        s.record_count, s.total_cost)::billing.period_charge
                FROM billing.daily_sums AS s
                WHERE s.tenant_id = i.tenant_id
                    AND s.summary_date BETWEEN i.period_start AND i.period_end
            ) AS now,
            ARRAY(
                SELECT
                    ('usage', r.channel, r.resource_type, p.id, NULL, -sum(r.quantity),
                        -sum(billing.in_seconds(r.resource_type, r.billed_quantity)),
                        -sum(CASE r.kind WHEN 'charge' THEN 1 ELSE -1 END), -sum(r.total_cost))::billing.period_charge
                FROM billing.usage_records AS r
                LEFT JOIN billing.pricing_rates AS p
                    ON p.id = r.rate_id
                    AND billing.is_period_priced(p.charge_model)
                WHERE r.tenant_id = i.tenant_id
                    AND r.usage_date BETWEEN i.period_start AND i.period_end
                    AND NOT billing.covers(i.cut, r.id, r.xact)
                GROUP BY r.channel, r.resource_type, p.id
            ) AS since
        FROM adjusted AS i
    ),
    priced AS (
        SELECT s.*, w.sign, ARRAY(
            SELECT p
            FROM billing.price_sums(
                s.cards, s.currency, s.at,
                ARRAY(
                    SELECT
                        ('usage', x.channel, x.resource_type, x.rate_id, NULL, sum(x.quantity), sum(x.billed),
                            sum(x.record_count), sum(x.amount))::billing.period_charge
                    FROM unnest(w.sums) AS x
                    GROUP BY x.channel, x.resource_type, x.rate_id
                )
            ) AS p
        ) AS usage
        FROM summed AS s
        CROSS JOIN LATERAL (VALUES (1, s.now), (-1, s.now || s.since)) AS w (sign, sums)
        WHERE cardinality(s.since) > 0
    ),
    entered AS (
        INSERT INTO billing.adjustments (
            tenant_id, amount, period_start, period_end, reference, description, adjusted_invoice_id, usage_cut,
            usage_changes
        )
        SELECT
            p.tenant_id, COALESCE(sum(p.sign * c.amount), 0), p.period_start, p.period_end,
            COALESCE(p_reference || ' ' || p.period_start, format('usage of invoice %s, %s', p.id, p.changes)),
            format(p_description, p.period_start, p.period_end), p.id,
            (q.last_value, pg_current_snapshot(), pg_current_xact_id())::billing.usage_cut, p.changes
        FROM priced AS p
        CROSS JOIN billing.usage_records_id_seq AS q
        LEFT JOIN LATERAL (
            SELECT u.amount FROM unnest(p.usage) AS u
            UNION ALL
            SELECT t.amount
            FROM billing.price_plan_terms(p.plan_id, p.currency, p.period_start, true, p.usage) AS t
        ) AS c ON true
        GROUP BY p.tenant_id, p.id, p.period_start, p.period_end, p.changes, q.last_value
        RETURNING id
    )
    SELECT count(*) FROM entered;
$$;

COMMENT ON FUNCTION billing.collect_adjustments IS
'Enters in billing.adjustments, for each issued invoice (pending, paid or overdue) of these tenants in whose days something
was recorded since it and its earlier adjustments were drawn up, the exact difference in what the period costs: tiers,
allowances and limits of spend included. How many were entered. Its caller holds lock_invoicing; who records usage waits
for nobody, and what is committed later is found the next time.';
