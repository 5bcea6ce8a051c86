-- invoice: the days that an invoice is to be drawn up for.
CREATE OR REPLACE FUNCTION billing.invoice_period(
    p_tenant_id bigint,
    p_day date,
    p_billing_cycle_day integer,
    OUT period_start date,
    OUT period_end date,
    OUT invoice_id bigint
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        GREATEST(
            w.first_day,
            (
                SELECT max(i.period_end) + 1
                FROM billing.invoices AS i
                WHERE i.tenant_id = p_tenant_id
                    AND i.status NOT IN ('draft', 'void')
                    AND i.period_end BETWEEN w.first_day AND p_day - 1
            )
        ),
        LEAST(
            w.last_day,
            (
                SELECT min(i.period_start) - 1
                FROM billing.invoices AS i
                WHERE i.tenant_id = p_tenant_id
                    AND i.status NOT IN ('draft', 'void')
                    AND i.period_start BETWEEN p_day + 1 AND w.last_day
            )
        ),
        (
            SELECT i.id
            FROM billing.invoices AS i
            WHERE i.tenant_id = p_tenant_id
                AND i.status NOT IN ('draft', 'void')
                AND p_day BETWEEN i.period_start AND i.period_end
        )
    FROM (
        SELECT s.first_day, billing.period_starting_by(s.first_day + 32, p_billing_cycle_day) - 1
        FROM (SELECT billing.period_starting_by(p_day, p_billing_cycle_day)) AS s (first_day)
    ) AS w (first_day, last_day);
$$;

COMMENT ON FUNCTION billing.invoice_period IS
'First and last day (both included) that the invoice of p_day bills: its billing period, less the days of issued invoices,
which overlap it where the billing day was moved since. So no day is left out and none is billed twice. invoice_id: the
issued invoice that has p_day on it already, else NULL.';
