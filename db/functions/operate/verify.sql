-- operate: every promise as a query; no rows when all hold.
CREATE OR REPLACE FUNCTION billing.verify(p_from date DEFAULT NULL, p_to date DEFAULT NULL)
RETURNS TABLE (check_name text, subject text, detail text)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_from date := COALESCE(p_from, '-infinity');
    v_to date := COALESCE(p_to, 'infinity');
    v_table text;
    v_after bigint;
    v_last bigint;
    v_until bigint;
BEGIN
    IF v_from > v_to OR (p_from IS NULL) <> (p_to IS NULL) OR p_from < '0001-01-01' OR p_to > '9999-12-31' THEN
        RAISE EXCEPTION 'bad range of days'
            USING ERRCODE = 'UB012',
                DETAIL = format('From %s to %s.', p_from, p_to),
                HINT = 'p_from is not after p_to; both are included. Without both, all is checked.';
    END IF;

    -- A STABLE function sees one snapshot throughout, and so do those that it calls.
    RETURN QUERY SELECT v.* FROM billing.verify_records(v_from, v_to) AS v;

    RETURN QUERY
    SELECT
        'usage is rated',
        format('%s %s', u.source_table, u.source_id),
        format('%s: %s (tenant %s, tried %s times since %s)', u.sqlstate, u.reason, u.tenant_id, u.attempts, u.first_seen_at)
    FROM billing.unrated_usage AS u
    WHERE u.resolved_at IS NULL;

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
    WHERE i.period_start <= v_to
        AND i.period_end >= v_from
        AND (i.subtotal, i.tax) IS DISTINCT FROM (l.subtotal, l.tax);

    RETURN QUERY
    SELECT
        'an invoice line is rounded to its currency',
        format('invoice %s, line %s', i.id, l.id),
        format('amount %s %s', l.amount, i.currency)
    FROM billing.invoices AS i
    INNER JOIN billing.invoice_line_items AS l
        ON l.tenant_id = i.tenant_id
        AND l.invoice_id = i.id
    WHERE i.period_start <= v_to
        AND i.period_end >= v_from
        AND l.amount <> round(l.amount, billing.currency_decimals(i.currency));

    -- A draft is drawn up anew before it is issued; what is issued bills the records of that moment, one line a price.
    RETURN QUERY
    SELECT
        'an issued invoice bills its records',
        format('invoice %s, %s/%s', i.id, b.channel, b.resource_type),
        format('lines bill %s for %s, records when it was issued %s for %s', b.line_quantity, b.line_amount,
            b.record_quantity, b.record_amount)
    FROM billing.invoices AS i
    CROSS JOIN LATERAL (
        SELECT channel, resource_type, l.quantity AS line_quantity, l.amount AS line_amount,
            r.quantity AS record_quantity, r.amount AS record_amount, r.is_period_priced
        FROM (
            SELECT x.channel, x.resource_type, sum(x.quantity) AS quantity, sum(x.amount) AS amount
            FROM billing.invoice_line_items AS x
            WHERE x.tenant_id = i.tenant_id
                AND x.invoice_id = i.id
                AND x.kind = 'usage'
            GROUP BY x.channel, x.resource_type
        ) AS l
        FULL JOIN (
            SELECT
                g.channel, g.resource_type, sum(g.quantity) AS quantity, bool_or(g.is_period_priced) AS is_period_priced,
                sum(round(g.amount, billing.currency_decimals(i.currency))) AS amount
            FROM (
                SELECT
                    u.channel, u.resource_type, billing.is_period_priced(p.charge_model) AS is_period_priced,
                    sum(u.quantity) AS quantity, sum(u.total_cost) AS amount
                FROM billing.usage_records AS u
                INNER JOIN billing.pricing_rates AS p ON p.id = u.rate_id
                WHERE u.tenant_id = i.tenant_id
                    AND u.usage_date BETWEEN i.period_start AND i.period_end
                    AND billing.covers(i.usage_cut, u.id, u.xact)
                -- As list_invoice_usage.
                GROUP BY
                    u.channel, u.resource_type, u.unit_cost, p.initial_increment, p.billing_increment,
                    p.connection_fee, p.minimum_charge, p.charge_model, p.terms, p.calendar_id
            ) AS g
            GROUP BY g.channel, g.resource_type
        ) AS r USING (channel, resource_type)
    ) AS b
    WHERE i.status IN ('pending', 'paid', 'overdue')
        AND i.period_start <= v_to
        AND i.period_end >= v_from
        AND (COALESCE(b.line_quantity, 0) <> COALESCE(b.record_quantity, 0)
            -- What a period prices is in no record's cost.
            OR (COALESCE(b.line_amount, 0) <> COALESCE(b.record_amount, 0) AND b.is_period_priced IS FALSE))
        AND NOT EXISTS (
            SELECT
            FROM billing.detached_months AS d
            WHERE d.month <= i.period_end
                AND d.month + interval '1 month' > i.period_start
        );

    RETURN QUERY SELECT v.* FROM billing.verify_invoices(p_from, p_to) AS v;
    RETURN QUERY SELECT v.* FROM billing.verify_seals(p_from, p_to) AS v;

    FOR v_table IN SELECT m.source_table FROM billing.metered_tables AS m ORDER BY m.source_table LOOP
        CONTINUE WHEN NOT billing.is_readable(v_table);
        -- The lowest bigint has none before it.
        IF p_from IS NULL THEN
            EXECUTE format('SELECT GREATEST(min(id), -9223372036854775807) - 1, max(id) FROM %s', billing.qualify_source(v_table))
            INTO v_after, v_last;
        ELSE
            SELECT GREATEST(i.first_id, -9223372036854775807) - 1, i.last_id INTO v_after, v_last FROM billing.window_ids(v_table, p_from, p_to) AS i;
        END IF;
        -- In batches, so that a table of any size needs little memory.
        LOOP
            EXECUTE format(
                'SELECT max(b.id) FROM (SELECT s.id FROM %s AS s WHERE s.id > $1 AND s.id <= $2 ORDER BY s.id LIMIT 20000) AS b',
                billing.qualify_source(v_table)
            ) INTO v_until USING v_after, v_last;
            EXIT WHEN v_until IS NULL;
            RETURN QUERY
            SELECT 'deserved equals recorded', format('%s %s', v_table, c.source_id), c.detail
            FROM billing.compare_rows(v_table, p_from, p_to, v_after, v_until, false) AS c
            WHERE c.differs
                AND NOT EXISTS (
                    SELECT
                    FROM billing.unrated_usage AS u
                    WHERE u.source_table = v_table
                        AND u.source_id = c.source_id
                        AND u.resolved_at IS NULL
                );
            v_after := v_until;
        END LOOP;
    END LOOP;

    IF p_from IS NOT NULL THEN
        RETURN;
    END IF;

    RETURN QUERY
    SELECT 'tables are metered as they stand', g.table_name, g.problem
    FROM billing.list_trigger_gaps() AS g
    WHERE g.trigger_name IS NULL;

    -- What is of no day.
    RETURN QUERY
    SELECT 'what is written stays written', format('trigger %s of %s', g.trigger_name, g.table_name), g.problem
    FROM billing.list_guard_gaps() AS g;

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
        'lots and what is taken from them agree',
        format('tenant %s, credit entry %s', k.tenant_id, k.id),
        format('amount %s, uses come to %s', k.amount, k.used)
    FROM (
        SELECT
            e.tenant_id, e.id, e.amount,
            COALESCE((
                SELECT sum(u.amount)
                FROM billing.credit_uses AS u
                WHERE u.tenant_id = e.tenant_id
                    AND CASE WHEN e.amount > 0 THEN u.lot_id ELSE u.entry_id END = e.id
            ), 0) AS used
        FROM billing.credit_entries AS e
    ) AS k
    -- What was taken without a lot is a debt, which no lot may leave standing.
    WHERE k.used > abs(k.amount)
        OR (k.amount < 0 AND k.used < -k.amount AND EXISTS (
            SELECT FROM billing.list_credit_lots(k.tenant_id, 'infinity') AS l WHERE l.remaining > 0 AND l.entry_id > k.id
        ));

    RETURN QUERY
    SELECT
        'an account is the sum of its reservations',
        format('tenant %s', a.tenant_id),
        format('account %s for %s calls, reservations %s for %s', a.reserved, a.calls, COALESCE(r.amount, 0), COALESCE(r.calls, 0))
    FROM billing.credit_accounts AS a
    LEFT JOIN (
        SELECT x.tenant_id, sum(x.amount) AS amount, count(*) FILTER (WHERE x.resource_type = 'minute') AS calls
        FROM billing.reservations AS x
        WHERE x.is_counted
        GROUP BY x.tenant_id
    ) AS r ON r.tenant_id = a.tenant_id
    WHERE (a.reserved, a.calls) IS DISTINCT FROM (COALESCE(r.amount, 0), COALESCE(r.calls, 0));

    RETURN QUERY
    SELECT
        'who reserves is settled',
        format('tenant %s', a.tenant_id),
        'tenant_terms.looks_closer is false: recording usage settles no reservation'
    FROM billing.credit_accounts AS a
    WHERE EXISTS (
        SELECT FROM billing.tenant_terms AS t WHERE t.tenant_id = a.tenant_id AND NOT t.looks_closer
    );

    RETURN QUERY
    SELECT
        'prices are resolved',
        format('card %s, %s/%s', k.card, k.channel, k.resource_type),
        'resolved_prices does not agree with pricing_rates: run billing.resolve_prices for it'
    FROM (
        SELECT r.card, r.channel, r.resource_type FROM billing.pricing_rates AS r
        UNION
        SELECT r.card, r.channel, r.resource_type FROM billing.resolved_prices AS r
    ) AS k
    WHERE EXISTS (
        SELECT
        FROM billing.flatten_prices(k.card, k.channel, k.resource_type) AS f
        FULL JOIN (
            SELECT *
            FROM billing.resolved_prices AS x
            WHERE x.card = k.card
                AND x.channel = k.channel
                AND x.resource_type = k.resource_type
        ) AS p USING (lo, valid_from)
        WHERE (f.rate_id, f.currency, f.unit_price, f.initial_increment, f.billing_increment, f.connection_fee, f.minimum_charge,
                f.by_terms, f.longest, f.changes)
            IS DISTINCT FROM
                (p.rate_id, p.currency, p.unit_price, p.initial_increment, p.billing_increment, p.connection_fee, p.minimum_charge,
                p.by_terms, p.longest, p.changes)
    );

    RETURN QUERY
    SELECT
        'the terms of a tenant are remembered',
        format('tenant %s', t.id),
        'billing.tenant_terms does not agree with tenants: was it changed with triggers off?'
    FROM public.tenants AS t
    LEFT JOIN LATERAL (
        SELECT x.plan_id, x.timezone, x.currency, x.cards
        FROM billing.tenant_terms AS x
        WHERE x.tenant_id = t.id
        ORDER BY x.valid_from DESC
        LIMIT 1
    ) AS terms ON true
    WHERE (t.plan_id, COALESCE(t.timezone, 'UTC'), COALESCE(t.currency, 'USD'))
        IS DISTINCT FROM (terms.plan_id, terms.timezone, terms.currency)
        OR NOT terms.cards @> billing.list_cards(t.id, t.plan_id);
END;
$$;

COMMENT ON FUNCTION billing.verify IS
'Checks every invariant in one snapshot. No rows: all hold. check_name is the promise, subject where it is broken,
detail what was found; verify_checks says what to do. An open entry of unrated_usage is reported too, since usage waits
there for somebody. With p_from and p_to only what is of those days (in the tenant''s zone, both included), for every few
minutes: records of those days, rows that occurred or were recorded then, invoices of periods that touch them. Balances,
prices and a row charged twice on two days are for the full form, for every night. Raises UB012.';
