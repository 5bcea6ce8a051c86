-- rate: what differs between two prices, for people.
CREATE OR REPLACE FUNCTION billing.describe_rate_change(p_old billing.pricing_rates, p_new billing.pricing_rates)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
AS $$
BEGIN
    RETURN NULLIF(concat_ws(
        '; ',
        CASE WHEN p_old.unit_price <> p_new.unit_price
            THEN format('unit_price %s to %s', trim_scale(p_old.unit_price), trim_scale(p_new.unit_price)) END,
        CASE WHEN p_old.connection_fee <> p_new.connection_fee
            THEN format('connection_fee %s to %s', trim_scale(p_old.connection_fee), trim_scale(p_new.connection_fee)) END,
        CASE WHEN p_old.minimum_charge <> p_new.minimum_charge
            THEN format('minimum_charge %s to %s', trim_scale(p_old.minimum_charge), trim_scale(p_new.minimum_charge)) END,
        CASE WHEN (p_old.initial_increment, p_old.billing_increment) <> (p_new.initial_increment, p_new.billing_increment)
            THEN format(
                'increments %s/%s to %s/%s',
                trim_scale(p_old.initial_increment), trim_scale(p_old.billing_increment),
                trim_scale(p_new.initial_increment), trim_scale(p_new.billing_increment)
            ) END,
        CASE WHEN p_old.currency <> p_new.currency THEN format('currency %s to %s', p_old.currency, p_new.currency) END,
        CASE WHEN p_old.charge_model <> p_new.charge_model
            THEN format('charge_model %s to %s', p_old.charge_model, p_new.charge_model) END,
        CASE WHEN p_old.calendar_id IS DISTINCT FROM p_new.calendar_id THEN 'another calendar' END,
        CASE
            WHEN p_old.terms - 'bands' <> p_new.terms - 'bands' THEN 'terms'
            WHEN p_old.terms = '{}' AND p_new.terms = '{}' THEN NULL
            WHEN billing.full_bands(
                    p_old.terms, p_old.unit_price, p_old.initial_increment, p_old.billing_increment, p_old.connection_fee
                ) IS DISTINCT FROM billing.full_bands(
                    p_new.terms, p_new.unit_price, p_new.initial_increment, p_new.billing_increment, p_new.connection_fee
                )
                THEN 'prices of bands'
        END
    ), '');
END;
$$;

COMMENT ON FUNCTION billing.describe_rate_change IS
'What of a price changes from p_old to p_new: amounts, increments, currency, model, calendar and terms. NULL: nothing
that a call would cost more or less by; card, prefix, dates and description do not count.';
