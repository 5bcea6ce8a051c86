-- report: why one more quantity would cost what quote_measured says.
CREATE OR REPLACE FUNCTION billing.explain_quote_measured(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_quantity numeric,
    p_destination text,
    p_at timestamptz
)
RETURNS TABLE (step integer, subject text, detail text, amount numeric)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_priced billing.priced_usage := billing.quote_measured(
        p_tenant_id, p_channel, p_resource_type, p_quantity, p_destination, p_at
    );
    v_period record;
    v_total numeric := 0;
BEGIN
    SELECT * INTO v_period FROM billing.get_billing_period(p_tenant_id, p_at);
    step := 0;
    FOR subject, detail, amount IN
        SELECT *
        FROM billing.explain_usage(
            p_tenant_id, p_channel, p_resource_type, p_quantity, billing.normalize_destination(p_destination), p_at,
            v_priced.rate_id, v_period.period_start, v_period.period_end, v_priced.billed_quantity, false
        )
    LOOP
        step := step + 1;
        v_total := v_total + COALESCE(amount, 0);
        RETURN NEXT;
    END LOOP;
    step := step + 1;
    subject := 'total';
    detail := v_priced.currency || CASE
        WHEN v_priced.period_rate_id IS NOT NULL THEN ', what it adds to the period; the record itself will cost nothing'
        ELSE '; an invoice line adds such totals up exactly and is rounded once, to the minor unit of the currency'
    END;
    amount := trim_scale(v_total);
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION billing.explain_quote_measured IS
'Why quote_measured says what it says of p_quantity (seconds for minutes, else units), in rows to be read in order. amount:
what a row adds, NULL where it is no amount; the last is their sum, the quote''s total_cost. Major units of the tenant''s
currency. Raises UB001, UB002, UB003.';
