-- operate: every promise as a query; no rows when all hold.
CREATE OR REPLACE FUNCTION billing.verify()
RETURNS TABLE (check_name text, subject text, detail text)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_metered billing.metered_tables;
BEGIN
    -- A STABLE function sees one snapshot throughout.
    RETURN QUERY
    SELECT
        'summaries equal records',
        format('tenant %s, %s, %s/%s', k.tenant_id, k.day, k.channel, k.resource_type),
        format('summary %s (%s, %s records), records %s (%s, %s)',
            s.total_cost, s.total_quantity, s.record_count, r.total_cost, r.total_quantity, r.record_count)
    FROM (
        SELECT tenant_id, usage_date AS day, x.channel, x.resource_type, sum(quantity) AS total_quantity,
            sum(x.total_cost) AS total_cost, count(*) FILTER (WHERE kind = 'charge') - count(*) FILTER (WHERE kind = 'reversal') AS record_count
        FROM billing.usage_records AS x
        GROUP BY tenant_id, usage_date, x.channel, x.resource_type
    ) AS r
    FULL JOIN billing.usage_summaries AS s
        ON s.tenant_id = r.tenant_id
        AND s.summary_date = r.day
        AND s.channel = r.channel
        AND s.resource_type = r.resource_type
    CROSS JOIN LATERAL (
        SELECT COALESCE(r.tenant_id, s.tenant_id) AS tenant_id, COALESCE(r.day, s.summary_date) AS day,
            COALESCE(r.channel, s.channel) AS channel, COALESCE(r.resource_type, s.resource_type) AS resource_type
    ) AS k
    WHERE (r.total_quantity, r.total_cost, r.record_count) IS DISTINCT FROM (s.total_quantity, s.total_cost, s.record_count)
        -- The sums of a detached month stay without its records.
        AND NOT EXISTS (
            SELECT FROM billing.detached_months AS d WHERE d.month = date_trunc('month', k.day::timestamp)::date
        );

    RETURN QUERY
    SELECT
        'sums are kept by the rate that prices a period',
        format('tenant %s, %s, %s/%s, rate %s', k.tenant_id, k.day, k.channel, k.resource_type, k.rate_id),
        format('sums have %s billed, records %s', s.billed, r.billed)
    FROM (
        SELECT
            x.tenant_id, x.usage_date AS day, x.channel, x.resource_type,
            CASE WHEN billing.is_period_priced(p.charge_model) THEN p.id ELSE 0 END AS rate_id,
            sum(billing.in_seconds(x.resource_type, x.billed_quantity)) AS billed
        FROM billing.usage_records AS x
        LEFT JOIN billing.pricing_rates AS p ON p.id = x.rate_id
        GROUP BY 1, 2, 3, 4, 5
    ) AS r
    FULL JOIN (
        SELECT
            d.tenant_id, d.summary_date AS day, d.channel, d.resource_type, d.rate_id, sum(d.billed) AS billed
        FROM billing.daily_sums AS d
        GROUP BY 1, 2, 3, 4, 5
    ) AS s USING (tenant_id, day, channel, resource_type, rate_id)
    CROSS JOIN LATERAL (SELECT tenant_id, day, channel, resource_type, rate_id) AS k
    WHERE COALESCE(r.billed, 0) <> COALESCE(s.billed, 0)
        AND NOT EXISTS (
            SELECT FROM billing.detached_months AS d WHERE d.month = date_trunc('month', k.day::timestamp)::date
        );

    RETURN QUERY
    SELECT
        'revisions are 1 to n',
        format('%s %s, part %s, %s', r.source_table, r.source_id, r.part, r.usage_date),
        format('%s records, revisions %s to %s', count(*), min(r.revision), max(r.revision))
    FROM billing.usage_records AS r
    WHERE r.source_id IS NOT NULL
    GROUP BY r.source_table, r.source_id, r.part, r.usage_date, r.tenant_id
    HAVING min(r.revision) <> 1 OR max(r.revision) <> count(*);

    RETURN QUERY
    SELECT
        'charges add and reversals take away',
        format('usage record %s', r.id),
        format('%s with revision %s, quantity %s, cost %s', r.kind, r.revision, r.quantity, r.total_cost)
    FROM billing.usage_records AS r
    WHERE CASE r.kind
        WHEN 'charge' THEN r.revision % 2 = 0 OR r.quantity < 0 OR r.total_cost < 0
        ELSE r.revision % 2 = 1 OR r.quantity > 0 OR r.total_cost > 0
    END;

    RETURN QUERY
    SELECT
        'a reversal takes back its charge',
        format('%s %s, part %s, %s', r.source_table, r.source_id, r.part, r.usage_date),
        format('records net to %s, cost %s', sum(r.quantity), sum(r.total_cost))
    FROM billing.usage_records AS r
    WHERE r.source_id IS NOT NULL
    GROUP BY r.source_table, r.source_id, r.part, r.usage_date, r.tenant_id
    HAVING count(*) % 2 = 0 AND (sum(r.quantity) <> 0 OR sum(r.total_cost) <> 0);

    RETURN QUERY
    SELECT
        'a row is charged once',
        format('%s %s, part %s', r.source_table, r.source_id, r.part),
        format('%s charges stand', count(*) FILTER (WHERE kind = 'charge') - count(*) FILTER (WHERE kind = 'reversal'))
    FROM billing.usage_records AS r
    WHERE r.source_id IS NOT NULL
    GROUP BY r.source_table, r.source_id, r.part
    HAVING count(*) FILTER (WHERE kind = 'charge') - count(*) FILTER (WHERE kind = 'reversal') > 1;

    RETURN QUERY
    SELECT
        'cost follows from quantity and rate',
        format('usage record %s', r.id),
        format('total_cost %s, by rate %s it is %s', r.total_cost, r.rate_id, p.total_cost)
    FROM billing.usage_records AS r
    LEFT JOIN LATERAL billing.reprice_usage(
        r.rate_id, r.resource_type, abs(COALESCE(r.seconds, r.quantity)), r.occurred_at
    ) AS p ON true
    WHERE (abs(r.total_cost), r.unit_cost, r.currency) IS DISTINCT FROM (p.total_cost, p.unit_cost, p.currency);

    RETURN QUERY
    SELECT
        'usage is on its day',
        format('usage record %s', r.id),
        format('usage_date %s, occurred at %s, zone %s', r.usage_date, r.occurred_at, z.timezone)
    FROM billing.usage_records AS r
    CROSS JOIN LATERAL billing.zone_of(r.tenant_id, r.occurred_at) AS z (timezone)
    WHERE r.usage_date <> (r.occurred_at AT TIME ZONE z.timezone)::date;

    RETURN QUERY
    SELECT
        'a resource is charged by hand or by its row',
        format('%s %s, usage record %s', r.source_table, r.source_id, r.id),
        format('usage record %s was recorded by hand for the same resource: run billing.record_rows for the row', d.record_id)
    FROM billing.direct_usage AS d
    INNER JOIN billing.usage_records AS r
        ON r.tenant_id = d.tenant_id
        AND r.channel = d.channel
        AND r.resource_type = d.resource_type
        AND r.resource_id = d.resource_id
    WHERE d.reversed_at IS NULL
        AND r.source_id IS NOT NULL
        AND r.kind = 'charge'
        AND NOT EXISTS (
            SELECT
            FROM billing.usage_records AS x
            WHERE x.source_id = r.source_id
                AND x.source_table = r.source_table
                AND x.part = r.part
                AND x.usage_date = r.usage_date
                AND x.tenant_id = r.tenant_id
                AND x.revision = r.revision + 1
        );

    RETURN QUERY
    SELECT
        'usage is rated',
        format('%s %s', u.source_table, u.source_id),
        format('%s: %s (tenant %s, tried %s times since %s)', u.sqlstate, u.reason, u.tenant_id, u.attempts, u.first_seen_at)
    FROM billing.unrated_usage AS u
    WHERE u.resolved_at IS NULL;

    RETURN QUERY
    SELECT
        'balance equals credit entries',
        format('tenant %s', t.id),
        format('credit_balance %s, entries %s', t.credit_balance, COALESCE(e.amount, 0))
    FROM public.tenants AS t
    LEFT JOIN (
        SELECT tenant_id, sum(c.amount) AS amount
        FROM billing.credit_entries AS c
        GROUP BY tenant_id
    ) AS e ON e.tenant_id = t.id
    WHERE COALESCE(t.credit_balance, 0) IS DISTINCT FROM COALESCE(e.amount, 0);

    RETURN QUERY
    SELECT
        'an invoice is the sum of its lines',
        format('invoice %s', i.id),
        format('subtotal %s and tax %s, lines %s and %s', i.subtotal, i.tax, l.subtotal, l.tax)
    FROM billing.invoices AS i
    LEFT JOIN LATERAL (
        SELECT COALESCE(sum(x.amount) FILTER (WHERE x.kind <> 'tax'), 0) AS subtotal,
            COALESCE(sum(x.amount) FILTER (WHERE x.kind = 'tax'), 0) AS tax
        FROM billing.invoice_line_items AS x
        WHERE x.tenant_id = i.tenant_id
            AND x.invoice_id = i.id
    ) AS l ON true
    WHERE (i.subtotal, i.tax) IS DISTINCT FROM (l.subtotal, l.tax);

    RETURN QUERY
    SELECT
        'prices are resolved',
        format('rate %s', r.id),
        'resolved_prices does not agree with pricing_rates: run billing.resolve_prices for its card'
    FROM billing.pricing_rates AS r
    WHERE r.is_active
        AND NOT EXISTS (
            SELECT
            FROM billing.resolved_prices AS p
            WHERE p.card = r.card
                AND p.channel = r.channel
                AND p.resource_type = r.resource_type
                AND p.lo = r.prefix
                AND p.valid_from = r.effective_from
                AND p.rate_id = r.id
                AND (p.currency, p.unit_price, p.initial_increment, p.billing_increment, p.connection_fee, p.minimum_charge,
                    p.by_terms)
                    = (r.currency, r.unit_price, r.initial_increment, r.billing_increment, r.connection_fee, r.minimum_charge,
                    billing.is_by_terms(r.charge_model, r.terms))
        );

    RETURN QUERY
    SELECT
        'the terms of a tenant are remembered',
        format('tenant %s', t.id),
        'billing.tenant_terms does not agree with tenants: was it changed with triggers off?'
    FROM public.tenants AS t
    LEFT JOIN LATERAL (
        SELECT x.plan_id, x.timezone, x.currency
        FROM billing.tenant_terms AS x
        WHERE x.tenant_id = t.id
        ORDER BY x.valid_from DESC
        LIMIT 1
    ) AS terms ON true
    WHERE (t.plan_id, COALESCE(t.timezone, 'UTC'), COALESCE(t.currency, 'USD'))
        IS DISTINCT FROM (terms.plan_id, terms.timezone, terms.currency);

    FOR v_metered IN SELECT * FROM billing.metered_tables AS m ORDER BY m.source_table LOOP
        RETURN QUERY EXECUTE format(
            $query$
            SELECT
                'deserved equals recorded',
                format('%%s %%s', %1$L, COALESCE(d.source_id, o.source_id)),
                format('deserves %%s %%s/%%s, recorded %%s', COALESCE(d.quantity, 0), COALESCE(d.channel, o.channel),
                    COALESCE(d.resource_type, o.resource_type), COALESCE(o.quantity, 0))
            FROM (SELECT m.* FROM %2$s AS r CROSS JOIN LATERAL %3$s AS m) AS d
            FULL JOIN (
                SELECT x.source_id, x.part, x.tenant_id, x.channel, x.resource_type,
                    sum(COALESCE(x.seconds, x.quantity)) AS quantity
                FROM billing.usage_records AS x
                WHERE x.source_table = %1$L
                GROUP BY x.source_id, x.part, x.tenant_id, x.channel, x.resource_type
                HAVING sum(COALESCE(x.seconds, x.quantity)) <> 0
            ) AS o
                ON o.source_id = d.source_id
                AND o.part = d.part
                AND o.tenant_id = d.tenant_id
                AND o.channel = d.channel
                AND o.resource_type = d.resource_type
            LEFT JOIN %2$s AS s ON s.id = o.source_id
            WHERE d.quantity IS DISTINCT FROM o.quantity
                -- A row that was deleted or archived stays billed.
                AND (d.source_id IS NOT NULL OR s.id IS NOT NULL)
                -- What was there before is history until backfill_usage bills it.
                AND NOT (o.source_id IS NULL AND d.source_id <= $1)
                AND NOT EXISTS (
                    SELECT
                    FROM billing.unrated_usage AS u
                    WHERE u.source_table = %1$L
                        AND u.source_id = COALESCE(d.source_id, o.source_id)
                        AND u.resolved_at IS NULL
                )
                AND NOT EXISTS (
                    SELECT
                    FROM billing.direct_usage AS h
                    WHERE h.tenant_id = d.tenant_id
                        AND h.channel = d.channel
                        AND h.resource_type = d.resource_type
                        AND h.resource_id = d.resource_id
                        AND h.reversed_at IS NULL
                )
                AND NOT EXISTS (
                    SELECT
                    FROM billing.detached_months AS g
                    WHERE d.occurred_at >= g.month - 1
                        AND d.occurred_at < g.month + 33
                )
            $query$,
            v_metered.source_table, billing.qualify_source(v_metered.source_table), v_metered.measure_call
        ) USING v_metered.history_id;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.verify IS
'Checks every invariant in one snapshot. No rows: all hold. check_name is the promise, subject where it is broken,
detail what was found. An open entry of unrated_usage is reported too, since usage waits there for somebody.';
