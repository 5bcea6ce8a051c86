-- rate: whether a line of a rate deck can say all of a price.
CREATE OR REPLACE FUNCTION billing.is_deck_rate(p_charge_model text, p_terms jsonb)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT p_charge_model = 'per_unit' AND p_terms - 'bands' = '{}';
$$;

COMMENT ON FUNCTION billing.is_deck_rate IS
'true for a price per unit without terms other than bands. Prices of other models are never touched by a deck, and never
in one.';
