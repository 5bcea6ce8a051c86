-- invoice: issues what is due, many tenants at once.
CREATE OR REPLACE FUNCTION billing.run_invoices(
    p_month date,
    p_after bigint DEFAULT 0,
    p_limit integer DEFAULT 500,
    p_at timestamptz DEFAULT now()
)
RETURNS TABLE (
    tenant_id bigint,
    period_start date,
    period_end date,
    outcome text,
    invoice_id bigint,
    invoice_number text,
    total_amount numeric,
    currency text,
    reason text
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
SET jit = off
AS $$
DECLARE
    v_page bigint[];
    v_due record;
    v_ready record;
    v_faulty bigint[] := '{}'::bigint[];
    v_faults text[] := '{}'::text[];
    v_found record;
    v_issued bigint[] := '{}'::bigint[];
    v_ids bigint[];
BEGIN
    IF (p_month BETWEEN '0001-01-01' AND '9999-12-31' AND p_limit BETWEEN 1 AND 2000) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad month or limit'
            USING ERRCODE = 'UB012',
                DETAIL = format('Month %s, limit %s.', p_month, p_limit),
                HINT = 'Give a day of the month, and 1 to 2000 tenants a batch: each holds a lock.';
    END IF;
    v_page := ARRAY(SELECT t.id FROM public.tenants AS t WHERE t.id > p_after ORDER BY t.id LIMIT p_limit);
    PERFORM billing.lock_invoicing(v_page);
    SELECT
        COALESCE(array_agg(d.tenant_id ORDER BY d.tenant_id, d.nth), '{}') AS tenant_ids,
        array_agg(d.period_start ORDER BY d.tenant_id, d.nth) AS starts, array_agg(d.period_end ORDER BY d.tenant_id, d.nth) AS ends,
        array_agg(d.nth ORDER BY d.tenant_id, d.nth) AS nths, array_agg(d.outcome ORDER BY d.tenant_id, d.nth) AS outcomes,
        array_agg(d.reason ORDER BY d.tenant_id, d.nth) AS reasons, max(d.nth) AS rounds
    INTO v_due
    FROM billing.list_due_periods(v_page, p_month, p_at) AS d;

    -- One period of each tenant at a time: the second asks what the first has invoiced.
    FOR v_round IN 1 .. COALESCE(v_due.rounds, 0) LOOP
        SELECT array_agg(d.tenant_id) AS tenant_ids, array_agg(d.first_day) AS starts, array_agg(d.last_day) AS ends
        INTO v_ready
        FROM unnest(v_due.tenant_ids, v_due.starts, v_due.ends, v_due.nths, v_due.outcomes) AS d (tenant_id, first_day, last_day, nth, outcome)
        WHERE d.nth = v_round
            AND d.outcome IS NULL;
        CONTINUE WHEN v_ready.tenant_ids IS NULL;

        PERFORM billing.draw_up_invoices(v_ready.tenant_ids, v_ready.starts, v_ready.ends);
        SELECT array_agg(f.tenant_id) AS tenant_ids, array_agg(f.detail) AS details
        INTO v_found
        FROM billing.find_usage_faults(v_ready.tenant_ids, v_ready.starts, v_ready.ends) AS f;
        v_faulty := v_faulty || v_found.tenant_ids;
        v_faults := v_faults || v_found.details;

        -- Nobody is sent an invoice of nothing.
        DELETE FROM billing.invoices AS i
        USING unnest(v_ready.tenant_ids, v_ready.starts) AS r (tenant_id, first_day)
        WHERE i.tenant_id = r.tenant_id
            AND i.period_start = r.first_day
            AND i.status = 'draft'
            AND r.tenant_id <> ALL (v_faulty)
            AND NOT EXISTS (SELECT FROM billing.invoice_line_items AS l WHERE l.tenant_id = i.tenant_id AND l.invoice_id = i.id);
        v_ids := ARRAY(
            SELECT i.id
            FROM unnest(v_ready.tenant_ids, v_ready.starts) AS r (tenant_id, first_day)
            INNER JOIN billing.invoices AS i ON i.tenant_id = r.tenant_id AND i.period_start = r.first_day AND i.status = 'draft'
            WHERE r.tenant_id <> ALL (v_faulty)
        );
        PERFORM billing.issue_invoices(v_ready.tenant_ids, v_ids, p_at);
        v_issued := v_issued || v_ids;
    END LOOP;

    RETURN QUERY
    SELECT
        d.tenant_id, d.first_day, d.last_day,
        CASE
            WHEN i.id = ANY (v_issued) THEN 'issued'
            WHEN f.detail IS NOT NULL THEN 'refused'
            ELSE COALESCE(d.outcome, 'nothing to bill')
        END,
        i.id, i.invoice_number, i.total_amount, i.currency,
        COALESCE('usage of this period fails verification: ' || f.detail, d.reason)
    FROM unnest(v_due.tenant_ids, v_due.starts, v_due.ends, v_due.outcomes, v_due.reasons) AS d (tenant_id, first_day, last_day, outcome, reason)
    LEFT JOIN billing.invoices AS i
        ON i.tenant_id = d.tenant_id
        AND i.period_start = d.first_day
        AND i.status <> 'void'
    LEFT JOIN unnest(v_faulty, v_faults) AS f (tenant_id, detail)
        ON f.tenant_id = d.tenant_id
        AND (i.id = ANY (v_issued)) IS NOT TRUE
        AND d.outcome IS NULL
    UNION ALL
    SELECT i.tenant_id, i.period_start, i.period_end, 'issued before', i.id, i.invoice_number, i.total_amount, i.currency, NULL
    FROM billing.invoices AS i
    WHERE i.tenant_id = ANY (v_page)
        AND i.status IN ('pending', 'paid', 'overdue')
        AND date_trunc('month', i.period_start::timestamp) = date_trunc('month', p_month::timestamp)
        AND i.id <> ALL (v_issued)
    ORDER BY 1, 2;
END;
$$;

COMMENT ON FUNCTION billing.run_invoices IS
'Issues the invoices of periods that begin in the month of p_month, for at most p_limit tenants above id p_after, in one
transaction: commit, and go on after the last tenant. A row for each period, with its outcome: issued, issued before, nothing
to bill, open (not over at p_at, or in its grace period) or refused, and why: usage unrated or failing verification, months
detached, a plan in another currency, a hold. Safe to repeat, and beside itself. Raises UB012.';
