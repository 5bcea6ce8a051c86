-- invoice: a draft becomes an invoice.
CREATE OR REPLACE FUNCTION billing.finalize_invoice(
    p_invoice_id bigint,
    p_expected_total numeric DEFAULT NULL,
    p_at timestamptz DEFAULT now()
)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_invoice billing.invoices := billing.require_invoice(p_invoice_id);
    v_tenant record;
    v_issuable_at timestamptz;
    v_problem record;
BEGIN
    IF v_invoice.status = 'draft' THEN
        SELECT * INTO v_tenant FROM billing.require_tenant(v_invoice.tenant_id);
        v_issuable_at := billing.start_of_day(v_invoice.period_end + 1, v_tenant.timezone) + COALESCE(
            (SELECT b.grace FROM billing.tenant_billing AS b WHERE b.tenant_id = v_invoice.tenant_id), interval '0'
        );
        IF p_at < v_issuable_at THEN
            RAISE EXCEPTION 'the period is not over'
                USING ERRCODE = 'UB006',
                    DETAIL = format('Invoice %s, up to %s, can be issued from %s on.', v_invoice.id, v_invoice.period_end, v_issuable_at),
                    HINT = 'Until then it is a draft. A grace period is set in billing.tenant_billing.';
        END IF;
        SELECT *
        INTO v_problem
        FROM billing.find_invoice_problems(
            ARRAY[v_invoice.tenant_id], ARRAY[v_invoice.period_start], ARRAY[v_invoice.period_end], true
        );
        IF FOUND THEN
            RAISE EXCEPTION '%', v_problem.problem
                USING ERRCODE = v_problem.sqlstate, DETAIL = v_problem.detail, HINT = v_problem.hint;
        END IF;

        PERFORM billing.draw_up_invoices(
            ARRAY[v_invoice.tenant_id], ARRAY[v_invoice.period_start], ARRAY[v_invoice.period_end], true
        );
        SELECT *
        INTO v_problem
        FROM billing.find_usage_faults(
            ARRAY[v_invoice.tenant_id], ARRAY[v_invoice.period_start], ARRAY[v_invoice.period_end]
        );
        IF FOUND THEN
            RAISE EXCEPTION 'usage of this period fails verification'
                USING ERRCODE = 'UB006', DETAIL = v_problem.detail || '.',
                    HINT = 'Run billing.verify(): it names every fault, and billing.verify_checks what to do.';
        END IF;
    ELSIF v_invoice.status = 'void' THEN
        RAISE EXCEPTION 'a void invoice stays void'
            USING ERRCODE = 'UB007',
                DETAIL = format('Invoice %s was voided at %s.', v_invoice.id, v_invoice.voided_at),
                HINT = 'billing.generate_invoice draws up a new one for its period.';
    END IF;

    SELECT * INTO v_invoice FROM billing.invoices WHERE tenant_id = v_invoice.tenant_id AND id = v_invoice.id;
    IF v_invoice.total_before_credit <> p_expected_total THEN
        RAISE EXCEPTION 'the invoice has another total'
            USING ERRCODE = 'UB007',
                DETAIL = format('Invoice %s comes to %s, not to %s.', v_invoice.id, v_invoice.total_before_credit, p_expected_total),
                HINT = CASE v_invoice.status
                    WHEN 'draft' THEN 'Something was recorded since it was looked at: look at it again with billing.generate_invoice.'
                    ELSE 'It was issued already: correct it by a credit note, or void it.'
                END;
    END IF;
    IF v_invoice.status = 'draft' THEN
        PERFORM billing.issue_invoices(ARRAY[v_invoice.tenant_id], ARRAY[v_invoice.id], p_at);
    END IF;
    RETURN v_invoice.id;
END;
$$;

COMMENT ON FUNCTION billing.finalize_invoice IS
'Issues a draft: draws it up a last time, from every record of its days, gives it the next number of its series, and makes it
immutable; its id. Credit that the tenant has pays for it, and is taken: included
credit for usage, before tax, then all other for what is left. Again changes nothing. p_expected_total: refuse (UB007) when it comes to anything else, before credit. Refuses with
UB006 before the period and the tenant''s grace are over (as of p_at), while usage is unrated or the tenant
is held (invoice_holds), and where daily sums are not those of the records. Raises UB005, UB006, UB007, UB011.';
