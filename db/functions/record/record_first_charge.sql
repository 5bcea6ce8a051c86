-- record: the usual case, one row that comes to be worth something for the first time. Reads prices, inserts, no more.
CREATE OR REPLACE FUNCTION billing.record_first_charge(p_source_table text, p_measured billing.measurement)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_occurred_at timestamptz := COALESCE(p_measured.occurred_at, statement_timestamp());
    v_priced billing.priced_usage;
BEGIN
    v_priced.problem := billing.find_problem(p_measured.quantity, p_measured.resource_type);
    IF v_priced.problem IS NULL THEN
        v_priced := billing.price_usage(
            p_measured.tenant_id, p_measured.channel, p_measured.resource_type,
            p_measured.quantity, p_measured.destination, v_occurred_at
        );
    END IF;
    IF v_priced.problem IS NOT NULL THEN
        PERFORM billing.set_problem_aside(p_source_table, p_measured, v_priced.problem);
        RETURN;
    END IF;

    INSERT INTO billing.usage_records (
        tenant_id, source_id, rate_id, occurred_at, usage_date, part, source_table, channel, resource_type,
        resource_id, quantity, unit_cost, total_cost, currency, seconds, billed_quantity, destination
    )
    SELECT
        p_measured.tenant_id, p_measured.source_id, v_priced.rate_id, v_occurred_at, v_priced.usage_date,
        p_measured.part, p_source_table, p_measured.channel, p_measured.resource_type,
        p_measured.resource_id, v_priced.quantity, v_priced.unit_cost, v_priced.total_cost, v_priced.currency,
        CASE WHEN p_measured.resource_type = 'minute' THEN p_measured.quantity END,
        v_priced.billed_quantity, p_measured.destination
    WHERE NOT EXISTS (
        SELECT
        FROM billing.direct_usage AS d
        WHERE d.tenant_id = p_measured.tenant_id
            AND d.channel = p_measured.channel
            AND d.resource_type = p_measured.resource_type
            AND d.resource_id = p_measured.resource_id
    );
    IF NOT FOUND THEN
        RAISE unique_violation USING MESSAGE = 'the resource was recorded by hand';
    END IF;

    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM billing.claim_resources(ARRAY[p_measured]);
    END IF;
    INSERT INTO billing.usage_deltas (
        tenant_id, summary_date, record_count, channel, resource_type, rate_id, total_quantity, billed, total_cost
    )
    VALUES (
        p_measured.tenant_id, v_priced.usage_date, 1, p_measured.channel, p_measured.resource_type,
        COALESCE(v_priced.period_rate_id, 0), v_priced.quantity,
        billing.in_seconds(p_measured.resource_type, v_priced.billed_quantity), v_priced.total_cost
    );
END;
$$;

COMMENT ON FUNCTION billing.record_first_charge IS
'Writes revision 1 for a row that deserved nothing before, or sets it aside. Raises unique_violation where the row was
billed before all the same (by hand, or completed, failed, completed again): record_difference then finds what is missing.';
