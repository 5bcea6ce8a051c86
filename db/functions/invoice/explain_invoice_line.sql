-- invoice: a line, explained down to the last call.
CREATE OR REPLACE FUNCTION billing.explain_invoice_line(p_line_id bigint)
RETURNS TABLE (
    record_id bigint,
    usage_date date,
    occurred_at timestamptz,
    channel text,
    resource_type text,
    resource_id text,
    destination text,
    kind text,
    quantity numeric,
    unit_cost numeric,
    total_cost numeric,
    share numeric
)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_line billing.invoice_line_items;
    v_decimals integer;
BEGIN
    SELECT * INTO v_line FROM billing.invoice_line_items AS l WHERE l.id = p_line_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown line'
            USING ERRCODE = 'UB011',
                DETAIL = format('No invoice has a line %s.', COALESCE(p_line_id::text, 'NULL')),
                HINT = 'billing.get_invoice_lines lists the lines of an invoice.';
    END IF;
    SELECT billing.currency_decimals(i.currency)
    INTO v_decimals
    FROM billing.invoices AS i
    WHERE i.tenant_id = v_line.tenant_id
        AND i.id = v_line.invoice_id;

    RETURN QUERY
    WITH records AS MATERIALIZED (
        SELECT r.*, billing.in_seconds(r.resource_type, r.billed_quantity) AS measured
        FROM billing.list_line_records(v_line.tenant_id, p_line_id) AS r
    ),
    sums AS (
        SELECT
            sum(r.total_cost) AS cost, sum(abs(r.total_cost)) AS gross_cost, sum(r.measured) AS measured,
            sum(abs(r.measured)) AS gross_measured, count(*) AS records
        FROM records AS r
    ),
    -- Each record's exact share as a fraction: what it cost, and its part of what rounding and terms added. What costs
    -- nothing by itself (a price of the period) has its share by quantity.
    fractions AS (
        SELECT
            r.id, f.dividend * 10::numeric ^ v_decimals AS dividend, f.divisor,
            floor(div(f.dividend * 10::numeric ^ v_decimals, f.divisor))
                - CASE WHEN f.dividend < 0 AND mod(f.dividend * 10::numeric ^ v_decimals, f.divisor) <> 0 THEN 1 ELSE 0 END AS whole
        FROM records AS r
        CROSS JOIN sums AS s
        CROSS JOIN LATERAL (
            SELECT
                CASE
                    WHEN s.gross_cost > 0 THEN r.total_cost * s.gross_cost + (v_line.amount - s.cost) * abs(r.total_cost)
                    WHEN s.measured <> 0 THEN v_line.amount * r.measured * sign(s.measured)
                    WHEN s.gross_measured > 0 THEN v_line.amount * abs(r.measured)
                    ELSE v_line.amount
                END AS dividend,
                CASE
                    WHEN s.gross_cost > 0 THEN s.gross_cost
                    WHEN s.measured <> 0 THEN abs(s.measured)
                    WHEN s.gross_measured > 0 THEN s.gross_measured
                    ELSE s.records
                END AS divisor
        ) AS f
    ),
    ranked AS (
        SELECT
            f.id, f.whole, row_number() OVER (ORDER BY f.dividend - f.whole * f.divisor DESC, f.id) AS rank,
            v_line.amount * 10::numeric ^ v_decimals - sum(f.whole) OVER () AS left_over
        FROM fractions AS f
    )
    SELECT
        r.id, r.usage_date, r.occurred_at::timestamptz, r.channel, r.resource_type, r.resource_id, r.destination, r.kind::text,
        r.quantity::numeric, r.unit_cost::numeric, r.total_cost::numeric,
        round((k.whole + CASE WHEN k.rank <= k.left_over THEN 1 ELSE 0 END) / 10::numeric ^ v_decimals, v_decimals)
    FROM records AS r
    INNER JOIN ranked AS k ON k.id = r.id
    ORDER BY r.occurred_at, r.id;
END;
$$;

COMMENT ON FUNCTION billing.explain_invoice_line IS
'Every usage record behind a line, of a draft or an issued invoice, and its share of the line''s amount in whole minor units
(largest remainder): the shares add up to the line. Quantity in units of the resource, costs in major units. No rows for
fees, discounts and taxes, which have no records. Raises UB011.';
