-- invoice: refuses what is no amount of money.
CREATE OR REPLACE FUNCTION billing.check_money(p_amount numeric, p_currency text, p_given_currency text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
AS $$
BEGIN
    IF (p_amount > 0 AND p_amount < 1e15 AND p_amount = round(p_amount, billing.currency_decimals(p_currency))) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad amount of money'
            USING ERRCODE = 'UB003',
                DETAIL = format('The amount is %s %s.', COALESCE(p_amount::text, 'NULL'), p_currency),
                HINT = format('Give an amount above zero and below 1e15 with at most %s decimals.', billing.currency_decimals(p_currency));
    END IF;
    IF p_given_currency <> p_currency THEN
        RAISE EXCEPTION 'the invoice is in another currency'
            USING ERRCODE = 'UB012',
                DETAIL = format('It is in %s, the payment in %s.', p_currency, p_given_currency),
                HINT = 'Enter what was received in the invoice''s currency, as your bank converted it.';
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.check_money IS
'Refuses an amount that is not above zero, below 1e15 and in whole minor units of p_currency (UB003), and another currency (UB012).';
