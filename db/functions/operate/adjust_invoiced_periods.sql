-- operate: what a re-rating changed on invoices already issued.
CREATE OR REPLACE FUNCTION billing.adjust_invoiced_periods(p_proposal_id bigint)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_entered bigint;
BEGIN
    -- The sums as they are now, and the same without what was replaced: one snapshot, so that usage which others record
    -- meanwhile is on both sides and cancels.
    WITH invoiced AS MATERIALIZED (
        SELECT
            i.tenant_id, i.period_start, i.period_end, t.plan_id, terms.cards, terms.currency,
            at.at, sums.now, sums.now || sums.back AS before
        FROM (
            SELECT DISTINCT d.tenant_id, x.period_start, x.period_end
            FROM billing.rerating_differences AS d
            INNER JOIN billing.invoices AS x
                ON x.tenant_id = d.tenant_id
                AND d.usage_date BETWEEN x.period_start AND x.period_end
                AND x.status IN ('pending', 'paid', 'overdue')
            WHERE d.proposal_id = p_proposal_id
                AND d.new_record_id IS NOT NULL
        ) AS i
        LEFT JOIN public.tenants AS t ON t.id = i.tenant_id
        CROSS JOIN LATERAL (
            SELECT ((i.period_end + 1)::timestamp AT TIME ZONE COALESCE(t.timezone, 'UTC')) - interval '1 microsecond'
        ) AS at (at)
        CROSS JOIN LATERAL (
            SELECT x.cards, x.currency
            FROM billing.tenant_terms AS x
            WHERE x.tenant_id = i.tenant_id
                AND x.valid_from <= at.at
            ORDER BY x.valid_from DESC
            LIMIT 1
        ) AS terms
        CROSS JOIN LATERAL (
            SELECT
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
                        ('usage', r.channel, r.resource_type, p.id, NULL, c.sign * r.quantity,
                            c.sign * billing.in_seconds(r.resource_type, c.billed), c.sign, c.sign * c.cost
                        )::billing.period_charge
                    FROM billing.rerating_differences AS d
                    INNER JOIN billing.usage_records AS r
                        ON r.tenant_id = d.tenant_id
                        AND r.created_at = d.record_created_at
                        AND r.id = d.record_id
                        AND r.usage_date = d.usage_date
                    CROSS JOIN LATERAL (
                        VALUES
                            (1, d.old_rate_id, r.billed_quantity, d.old_cost),
                            (-1, d.new_rate_id, d.new_billed_quantity, d.new_cost)
                    ) AS c (sign, rate_id, billed, cost)
                    LEFT JOIN billing.pricing_rates AS p
                        ON p.id = c.rate_id
                        AND billing.is_period_priced(p.charge_model)
                    WHERE d.proposal_id = p_proposal_id
                        AND d.tenant_id = i.tenant_id
                        AND d.new_record_id IS NOT NULL
                        AND d.usage_date BETWEEN i.period_start AND i.period_end
                ) AS back
        ) AS sums
    ),
    priced AS (
        SELECT i.*, w.sign, ARRAY(
            SELECT p
            FROM billing.price_sums(
                i.cards, i.currency, i.at,
                ARRAY(
                    SELECT
                        ('usage', s.channel, s.resource_type, s.rate_id, NULL, sum(s.quantity), sum(s.billed),
                            sum(s.record_count), sum(s.amount))::billing.period_charge
                    FROM unnest(w.sums) AS s
                    GROUP BY s.channel, s.resource_type, s.rate_id
                )
            ) AS p
        ) AS usage
        FROM invoiced AS i
        CROSS JOIN LATERAL (VALUES (1, i.now), (-1, i.before)) AS w (sign, sums)
    ),
    entered AS (
        INSERT INTO billing.adjustments (tenant_id, amount, period_start, period_end, reference, description)
        SELECT
            p.tenant_id, sum(p.sign * c.amount), p.period_start, p.period_end,
            format('rerating %s %s', p_proposal_id, p.period_start),
            format('Usage of %s to %s at corrected prices', p.period_start, p.period_end)
        FROM priced AS p
        CROSS JOIN LATERAL (
            SELECT u.amount FROM unnest(p.usage) AS u
            UNION ALL
            SELECT t.amount
            FROM billing.price_plan_terms(p.plan_id, p.currency, p.period_start, true, p.usage) AS t
        ) AS c
        GROUP BY p.tenant_id, p.period_start, p.period_end
        HAVING sum(p.sign * c.amount) <> 0
        ON CONFLICT (tenant_id, reference) DO NOTHING
        RETURNING id
    )
    SELECT count(*) INTO v_entered FROM entered;
    RETURN v_entered;
END;
$$;

COMMENT ON FUNCTION billing.adjust_invoiced_periods IS
'Enters in billing.adjustments, for each issued invoice (pending, paid or overdue) with usage that proposal p_proposal_id
has replaced, the exact difference in what its period costs: tiers, allowances and limits of spend included. How many were
entered. Called by apply_rerating, in whose transaction the charges were replaced.';
