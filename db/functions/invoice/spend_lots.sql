-- invoice: takes the credit that issued invoices bear as lines.
CREATE OR REPLACE FUNCTION billing.spend_lots(p_tenant_ids bigint[], p_invoice_ids bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_line record;
    v_chosen record;
BEGIN
    FOR v_line IN
        SELECT l.tenant_id, l.invoice_id, l.is_prepaid, -l.amount AS amount,
            billing.start_of_day(i.period_end + 1, COALESCE(t.timezone, 'UTC')) - interval '1 microsecond' AS used_by
        FROM billing.invoice_line_items AS l
        INNER JOIN billing.invoices AS i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
        INNER JOIN public.tenants AS t ON t.id = i.tenant_id
        WHERE l.tenant_id = ANY (p_tenant_ids)
            AND l.invoice_id = ANY (p_invoice_ids)
            AND l.kind = 'credit'
            AND l.channel IS NULL
        ORDER BY l.tenant_id, l.invoice_id, l.id
    LOOP
        SELECT *
        INTO v_chosen
        FROM billing.take_from_lots(
            v_line.tenant_id, v_line.amount, v_line.used_by, CASE WHEN v_line.is_prepaid THEN 'invoice' ELSE 'usage' END
        );
        IF v_chosen.amount <> v_line.amount THEN
            RAISE serialization_failure USING
                MESSAGE = 'could not serialize access: credit of the tenant was spent since the invoice was drawn up',
                HINT = 'The transaction might succeed if retried.';
        END IF;
        PERFORM billing.enter_credit(
            v_line.tenant_id, -v_line.amount, 'invoice',
            format('invoice %s, %s credit', v_line.invoice_id, CASE WHEN v_line.is_prepaid THEN 'prepaid' ELSE 'included' END),
            p_lots => v_chosen.lots, p_amounts => v_chosen.amounts
        );
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.spend_lots IS
'Takes from the lots of these invoices'' tenants what their credit lines say, one entry a line. Its caller holds lock_credit
since before the lines were written.';
