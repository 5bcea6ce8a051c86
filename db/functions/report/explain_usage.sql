-- report: why a quantity costs what it costs by a rate, in rows.
CREATE OR REPLACE FUNCTION billing.explain_usage(
    p_tenant_id bigint,
    p_channel text,
    p_resource_type text,
    p_quantity numeric,
    p_destination text,
    p_at timestamptz,
    p_rate_id bigint,
    p_period_start date,
    p_period_end date,
    p_billed_quantity numeric,
    p_is_counted boolean
)
RETURNS TABLE (subject text, detail text, amount numeric)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_rate billing.pricing_rates;
    v_billed numeric := billing.in_seconds(p_resource_type, p_billed_quantity);
    v_before numeric;
    v_events integer;
    v_this integer := CASE WHEN p_quantity > 0 OR p_is_counted THEN 1 ELSE 0 END;
BEGIN
    RETURN QUERY
    SELECT *
    FROM billing.explain_choice(p_tenant_id, p_channel, p_resource_type, p_quantity, p_destination, p_at, p_rate_id);

    SELECT * INTO v_rate FROM billing.pricing_rates AS r WHERE r.id = p_rate_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF NOT billing.is_period_priced(v_rate.charge_model) THEN
        RETURN QUERY SELECT * FROM billing.explain_charge(v_rate, p_resource_type, p_quantity, p_at);
        RETURN;
    END IF;

    IF p_resource_type = 'minute' THEN
        subject := 'increments';
        detail := billing.describe_increments(p_quantity, v_rate.initial_increment, v_rate.billing_increment);
        RETURN NEXT;
    END IF;
    subject := 'period';
    IF p_period_start IS NULL THEN
        detail := 'the rate prices whole billing periods, and those of a deleted tenant are not known';
        RETURN NEXT;
        RETURN;
    END IF;
    detail := format('the billing period %s to %s', p_period_start, p_period_end);
    RETURN NEXT;
    SELECT
        COALESCE(sum(s.billed), 0) - CASE WHEN p_is_counted THEN v_billed ELSE 0 END,
        COALESCE(sum(s.record_count), 0) - CASE WHEN p_is_counted THEN 1 ELSE 0 END
    INTO v_before, v_events
    FROM billing.daily_sums AS s
    WHERE s.tenant_id = p_tenant_id
        AND s.summary_date BETWEEN p_period_start AND p_period_end
        AND s.channel = p_channel
        AND s.resource_type = p_resource_type
        AND s.rate_id = p_rate_id;
    RETURN QUERY
    SELECT * FROM billing.explain_period(v_rate, p_resource_type, v_before, v_events, v_billed, v_this);
END;
$$;

COMMENT ON FUNCTION billing.explain_usage IS
'The rows that explain what p_quantity (seconds for minutes, else units) at p_at costs by rate p_rate_id: explain_choice,
then explain_charge or, where the rate prices a whole period, explain_period for that from p_period_start to p_period_end
(NULL: not known). p_billed_quantity: after increments, in units of the resource. p_is_counted: the period''s sums hold it
already. The amounts add up to its cost, or to what it adds to its period; major units of the tenant''s currency.';
