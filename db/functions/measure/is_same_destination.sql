-- measure: whether two destinations are one, of which one may be forgotten.
CREATE OR REPLACE FUNCTION billing.is_same_destination(p_one text, p_other text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT p_one IS NOT DISTINCT FROM p_other
        OR (strpos(p_one, '***') > 0 AND starts_with(split_part(p_other, '***', 1), split_part(p_one, '***', 1))) IS TRUE
        OR (strpos(p_other, '***') > 0 AND starts_with(split_part(p_one, '***', 1), split_part(p_other, '***', 1))) IS TRUE;
$$;

COMMENT ON FUNCTION billing.is_same_destination IS
'Whether p_one and p_other (as normalize_destination gives them) may be the same number. Of a number that was forgotten its
beginning is left, and *** (44207***): any number that begins so may be it. Which of them it was is what is forgotten, and they
cost the same: no price that was known then tells them apart.';
