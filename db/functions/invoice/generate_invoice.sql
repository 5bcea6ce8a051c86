-- invoice: draws up the draft of a period, or draws it up again.
CREATE OR REPLACE FUNCTION billing.generate_invoice(p_tenant_id bigint, p_period_start date)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_tenant record;
    v_period record;
    v_problem record;
BEGIN
    SELECT * INTO v_tenant FROM billing.require_tenant(p_tenant_id);
    IF (p_period_start BETWEEN '0001-01-01' AND '9999-12-31') IS NOT TRUE THEN
        RAISE EXCEPTION 'no period to invoice'
            USING ERRCODE = 'UB012',
                DETAIL = format('p_period_start is %s.', COALESCE(p_period_start::text, 'NULL')),
                HINT = 'Give the first day of a billing period, as get_billing_period shows it.';
    END IF;

    -- The second waits, and finds the invoice of the first.
    PERFORM billing.lock_invoicing(ARRAY[p_tenant_id]);
    SELECT * INTO v_period FROM billing.invoice_period(p_tenant_id, p_period_start, v_tenant.billing_cycle_day);
    IF v_period.invoice_id IS NOT NULL THEN
        RETURN v_period.invoice_id;
    END IF;

    -- Where money leaves the house we fail closed.
    SELECT *
    INTO v_problem
    FROM billing.find_invoice_problems(ARRAY[p_tenant_id], ARRAY[v_period.period_start], ARRAY[v_period.period_end]);
    IF FOUND THEN
        RAISE EXCEPTION '%', v_problem.problem
            USING ERRCODE = v_problem.sqlstate, DETAIL = v_problem.detail, HINT = v_problem.hint;
    END IF;

    PERFORM billing.draw_up_invoices(ARRAY[p_tenant_id], ARRAY[v_period.period_start], ARRAY[v_period.period_end]);
    RETURN (
        SELECT i.id
        FROM billing.invoices AS i
        WHERE i.tenant_id = p_tenant_id
            AND i.period_start = v_period.period_start
            AND i.status = 'draft'
    );
END;
$$;

COMMENT ON FUNCTION billing.generate_invoice IS
'Draws up the draft invoice of the billing period that holds p_period_start, and gives its id: the fees of the plans held in
it, a line for each channel, resource and price, what the plan includes, its minimum or maximum spend, recurring charges,
adjustments of periods invoiced before, discounts and taxes. Again draws the same draft up anew; an issued invoice is left
as it is. Refuses with UB006 while usage of the tenant is unrated. Raises UB002, UB005, UB006, UB012.';
