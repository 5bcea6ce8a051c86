-- measure: to how many people an email goes.
CREATE OR REPLACE FUNCTION billing.count_recipients(p_to_address text, p_recipients text[])
RETURNS numeric
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT GREATEST(
        1,
        COALESCE(cardinality(p_recipients), 0)
        + CASE WHEN p_to_address <> ALL (COALESCE(p_recipients, '{}')) THEN 1 ELSE 0 END
    )::numeric;
$$;

COMMENT ON FUNCTION billing.count_recipients IS
'Recipients of an email: those listed (to, cc and bcc), and the to-address where the list leaves it out. At least 1.';
