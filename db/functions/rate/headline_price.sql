-- rate: the unit price to show for a rate whose prices are in its terms.
CREATE OR REPLACE FUNCTION billing.headline_price(p_charge_model text, p_resource_type text, p_terms jsonb)
RETURNS numeric
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN p_charge_model = 'stepped' THEN trim_scale(round(
            (p_terms #>> '{steps,0,unit_price}')::numeric
            * CASE WHEN p_resource_type = 'minute' THEN 60 ELSE 1 END
            / COALESCE((p_terms #>> '{steps,0,per}')::numeric, 1),
            20
        ))
        ELSE 0
    END;
$$;

COMMENT ON FUNCTION billing.headline_price IS
'What pricing_rates.unit_price says where the price is in the terms: the first step of a stepped price, for one unit of the
resource (a minute, though its steps are in seconds); 0 for the price of a period, which no single record has.';
