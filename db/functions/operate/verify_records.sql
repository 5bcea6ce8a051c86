-- operate: every promise about usage records; no rows when all hold.
CREATE OR REPLACE FUNCTION billing.verify_records(p_from date, p_to date)
RETURNS TABLE (check_name text, subject text, detail text)
LANGUAGE plpgsql
STABLE
AS $$
#variable_conflict use_column
BEGIN
    -- Reading them takes longest: each query reads them once, for all that can be told then.
    RETURN QUERY
    WITH recorded AS MATERIALIZED (
        SELECT
            r.tenant_id, r.usage_date AS day, r.channel, r.resource_type,
            CASE WHEN billing.is_period_priced(p.charge_model) THEN p.id ELSE 0 END AS rate_id,
            sum(r.quantity) AS total_quantity, sum(r.total_cost) AS total_cost,
            count(*) FILTER (WHERE r.kind = 'charge') - count(*) FILTER (WHERE r.kind = 'reversal') AS record_count,
            sum(billing.in_seconds(r.resource_type, r.billed_quantity)) AS billed
        FROM billing.usage_records AS r
        LEFT JOIN billing.pricing_rates AS p ON p.id = r.rate_id
        WHERE r.usage_date BETWEEN p_from AND p_to
        GROUP BY 1, 2, 3, 4, 5
    ),
    -- The sums of a detached month stay without its records.
    compared AS (
        SELECT
            'summaries equal records' AS check_name,
            format('tenant %s, %s, %s/%s', tenant_id, day, channel, resource_type) AS subject,
            format('summary %s (%s, %s records), records %s (%s, %s)',
                s.total_cost, s.total_quantity, s.record_count, r.total_cost, r.total_quantity, r.record_count) AS detail,
            day
        FROM (
            SELECT
                tenant_id, day, channel, resource_type, sum(total_quantity) AS total_quantity, sum(total_cost) AS total_cost,
                sum(record_count) AS record_count
            FROM recorded
            GROUP BY 1, 2, 3, 4
        ) AS r
        FULL JOIN (
            SELECT u.*, u.summary_date AS day FROM billing.usage_summaries AS u WHERE u.summary_date BETWEEN p_from AND p_to
        ) AS s USING (tenant_id, day, channel, resource_type)
        WHERE (r.total_quantity, r.total_cost, r.record_count) IS DISTINCT FROM (s.total_quantity, s.total_cost, s.record_count)
        UNION ALL
        SELECT
            'sums are kept by the rate that prices a period',
            format('tenant %s, %s, %s/%s, rate %s', tenant_id, day, channel, resource_type, rate_id),
            format('sums have %s billed, records %s', s.billed, r.billed),
            day
        FROM recorded AS r
        FULL JOIN (
            SELECT d.tenant_id, d.summary_date AS day, d.channel, d.resource_type, d.rate_id, sum(d.billed) AS billed
            FROM billing.daily_sums AS d
            WHERE d.summary_date BETWEEN p_from AND p_to
            GROUP BY 1, 2, 3, 4, 5
        ) AS s USING (tenant_id, day, channel, resource_type, rate_id)
        WHERE COALESCE(r.billed, 0) <> COALESCE(s.billed, 0)
    )
    SELECT c.check_name, c.subject, c.detail
    FROM compared AS c
    WHERE NOT EXISTS (
        SELECT FROM billing.detached_months AS d WHERE d.month = date_trunc('month', c.day::timestamp)::date
    );

    -- What each record tells by itself, and by its tenant's zone.
    RETURN QUERY
    SELECT f.check_name, format('usage record %s', r.id), f.detail
    FROM billing.usage_records AS r
    LEFT JOIN (
        -- zone_of, for all of them at once.
        SELECT
            t.tenant_id, t.timezone, t.valid_from,
            lead(t.valid_from, 1, 'infinity') OVER (PARTITION BY t.tenant_id ORDER BY t.valid_from) AS valid_until
        FROM billing.tenant_terms AS t
    ) AS z
        ON z.tenant_id = r.tenant_id
        AND z.valid_from <= r.occurred_at
        AND z.valid_until > r.occurred_at
    CROSS JOIN LATERAL (
        SELECT
            'charges add and reversals take away' AS check_name,
            format('%s with revision %s, quantity %s, cost %s', r.kind, r.revision, r.quantity, r.total_cost) AS detail
        WHERE CASE r.kind
            WHEN 'charge' THEN r.revision % 2 = 0 OR r.quantity < 0 OR r.total_cost < 0
            ELSE r.revision % 2 = 1 OR r.quantity > 0 OR r.total_cost > 0
        END
        UNION ALL
        -- The other figures of a record are of domains that hold nothing else.
        SELECT 'figures are finite', format('seconds %s, billed quantity %s', r.seconds, r.billed_quantity)
        WHERE (r.billed_quantity > '-Infinity' AND r.billed_quantity < 'Infinity'
            AND COALESCE(r.seconds, 0) > '-Infinity' AND COALESCE(r.seconds, 0) < 'Infinity') IS NOT TRUE
        UNION ALL
        SELECT
            'usage is on its day',
            format('usage_date %s, occurred at %s, zone %s', r.usage_date, r.occurred_at, COALESCE(z.timezone, 'UTC'))
        WHERE r.usage_date <> (r.occurred_at AT TIME ZONE COALESCE(z.timezone, 'UTC'))::date
    ) AS f
    WHERE r.usage_date BETWEEN p_from AND p_to;

    -- Of most rows there is one record, the first: the others' are looked at together.
    RETURN QUERY
    WITH chains AS MATERIALIZED (
        SELECT
            r.source_table, r.source_id, r.part, r.usage_date, count(*) AS records,
            min(r.revision) AS lowest, max(r.revision) AS highest,
            count(*) FILTER (WHERE r.kind = 'charge') - count(*) FILTER (WHERE r.kind = 'reversal') AS standing
        FROM (
            SELECT x.source_table, x.source_id, x.part
            FROM billing.usage_records AS x
            WHERE x.source_id IS NOT NULL
                AND x.usage_date BETWEEN p_from AND p_to
            GROUP BY 1, 2, 3
            HAVING count(*) > 1 OR max(x.revision) > 1
        ) AS s
        INNER JOIN billing.usage_records AS r USING (source_table, source_id, part)
        WHERE r.usage_date BETWEEN p_from AND p_to
        GROUP BY 1, 2, 3, 4, r.tenant_id
    )
    SELECT
        'revisions are 1 to n',
        format('%s %s, part %s, %s', c.source_table, c.source_id, c.part, c.usage_date),
        format('%s records, revisions %s to %s', c.records, c.lowest, c.highest)
    FROM chains AS c
    WHERE c.lowest <> 1 OR c.highest <> c.records
    UNION ALL
    SELECT
        'a row is charged once',
        format('%s %s, part %s', c.source_table, c.source_id, c.part),
        format('%s charges stand', sum(c.standing))
    FROM chains AS c
    GROUP BY c.source_table, c.source_id, c.part
    HAVING sum(c.standing) > 1;

    RETURN QUERY
    SELECT
        'a reversal takes back its charge',
        format('usage record %s', r.id),
        format('reversal of %s, cost %s; its charge is %s, cost %s', r.quantity, r.total_cost, c.quantity, c.total_cost)
    FROM billing.usage_records AS r
    LEFT JOIN billing.usage_records AS c
        ON c.source_id = r.source_id
        AND c.source_table = r.source_table
        AND c.part = r.part
        AND c.usage_date = r.usage_date
        AND c.revision = r.revision - 1
        AND c.tenant_id = r.tenant_id
    WHERE r.kind = 'reversal'
        AND r.source_id IS NOT NULL
        AND r.usage_date BETWEEN p_from AND p_to
        AND (-r.quantity, -r.total_cost, -r.billed_quantity, r.channel, r.resource_type, r.rate_id)
            IS DISTINCT FROM (c.quantity, c.total_cost, c.billed_quantity, c.channel, c.resource_type, c.rate_id);

    -- With the two above: no row ever nets to less than nothing. What was recorded by hand has no row.
    RETURN QUERY
    SELECT
        'no resource nets to less than nothing',
        format('tenant %s, %s, %s/%s %s', r.tenant_id, r.usage_date, r.channel, r.resource_type, r.resource_id),
        format('records net to %s, cost %s', sum(r.quantity), sum(r.total_cost))
    FROM billing.usage_records AS r
    WHERE r.source_id IS NULL
        AND r.usage_date BETWEEN p_from AND p_to
    GROUP BY r.tenant_id, r.usage_date, r.channel, r.resource_type, r.resource_id
    HAVING sum(r.quantity) < 0 OR sum(r.total_cost) < 0;

    -- Once for all records that can cost nothing else; by time of day, when they occurred tells them apart.
    RETURN QUERY
    SELECT
        'cost follows from quantity and rate',
        format('usage record %s', r.id),
        format('total_cost %s, by rate %s it is %s', r.total_cost, r.rate_id, p.total_cost)
            || CASE WHEN r.records > 1 THEN format('; %s records are alike', r.records) ELSE '' END
    FROM (
        SELECT
            min(x.id) AS id, count(*) AS records, x.rate_id, x.resource_type,
            abs(COALESCE(x.seconds, x.quantity)) AS measured, t.at, abs(x.total_cost) AS total_cost, x.unit_cost, x.currency
        FROM billing.usage_records AS x
        LEFT JOIN billing.pricing_rates AS q ON q.id = x.rate_id
        CROSS JOIN LATERAL (SELECT CASE WHEN q.calendar_id IS NULL THEN now() ELSE x.occurred_at END) AS t (at)
        WHERE x.usage_date BETWEEN p_from AND p_to
        GROUP BY x.rate_id, x.resource_type, measured, t.at, abs(x.total_cost), x.unit_cost, x.currency
    ) AS r
    LEFT JOIN LATERAL billing.reprice_usage(r.rate_id, r.resource_type, r.measured, r.at) AS p ON true
    WHERE (r.total_cost, r.unit_cost, r.currency) IS DISTINCT FROM (p.total_cost, p.unit_cost, p.currency);

    RETURN QUERY
    SELECT
        'a resource is charged by hand or by its row',
        format('%s %s, usage record %s', r.source_table, r.source_id, r.id),
        format('usage record %s was recorded by hand for the same resource: run billing.record_row for the row', d.record_id)
    FROM billing.direct_usage AS d
    INNER JOIN billing.usage_records AS r
        ON r.tenant_id = d.tenant_id
        AND r.channel = d.channel
        AND r.resource_type = d.resource_type
        AND r.resource_id = d.resource_id
    WHERE d.reversed_at IS NULL
        AND r.usage_date BETWEEN p_from AND p_to
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
        'records are of transactions of this server', 'usage_records',
        format('%s records from number %s on bear numbers of transactions up to %s, and this server is at %s',
            count(*), min(r.id), max(r.xact), pg_snapshot_xmax(pg_current_snapshot()))
    FROM billing.usage_records AS r
    WHERE r.usage_date BETWEEN p_from AND p_to
        AND r.xact >= pg_snapshot_xmax(pg_current_snapshot())
        AND r.xact IS DISTINCT FROM pg_current_xact_id_if_assigned()
    HAVING count(*) > 0;
END;
$$;

COMMENT ON FUNCTION billing.verify_records IS
'The checks of verify() that are about usage records, which calls it: those of the days from p_from to p_to, both included. Of what
costs another sum than its rate and quantity say, the first is named, and how many are alike.';
