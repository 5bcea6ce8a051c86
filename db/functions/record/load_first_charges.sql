-- record: first charges into the table of a month that is not attached.
CREATE OR REPLACE FUNCTION billing.load_first_charges(
    p_table text,
    p_source_table text,
    p_measured billing.measurement[]
)
RETURNS bigint
LANGUAGE plpgsql
-- As write_first_charges.
SET enable_nestloop = off
SET enable_mergejoin = off
SET enable_sort = off
SET jit = off
AS $$
DECLARE
    v_written bigint;
BEGIN
    EXECUTE format(
        'INSERT INTO billing.%I (
            tenant_id, source_id, rate_id, occurred_at, usage_date, part, source_table, channel, resource_type,
            resource_id, quantity, unit_cost, total_cost, currency, seconds, billed_quantity, destination
        )
        SELECT
            p.tenant_id, p.source_id, p.rate_id, p.occurred_at, p.usage_date, p.part, $2, p.channel,
            p.resource_type, p.resource_id, p.quantity, p.unit_cost, p.total_cost, p.currency,
            CASE WHEN p.resource_type = ''minute'' THEN p.measured END, p.billed_quantity, p.destination
        FROM billing.price_measurements($1) AS p
        WHERE p.problem IS NULL',
        p_table
    ) USING p_measured, p_source_table;
    GET DIAGNOSTICS v_written = ROW_COUNT;
    IF v_written < cardinality(p_measured) THEN
        PERFORM billing.set_unpriced_aside(p_source_table, p_measured);
    END IF;
    RETURN v_written;
END;
$$;

COMMENT ON FUNCTION billing.load_first_charges IS
'record_first_charges into billing.p_table, a month''s table that has no indexes yet and is no partition: how many records
were written, the others are set aside. Daily sums are added up when the month is attached. The caller knows that nothing is
recorded of these rows.';
