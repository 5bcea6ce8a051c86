-- measure: a number for the eyes of those who need not know whose it is.
CREATE OR REPLACE FUNCTION billing.mask_number(p_number text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN strpos(p_number, '***') > 0 THEN split_part(p_number, '***', 1) || '***'
        -- An address tells by its domain what a number tells by its country.
        WHEN strpos(p_number, '@') > 0 THEN '***' || substring(p_number FROM '@[^@>[:space:]]*')
        WHEN translate(p_number, '+ -().', '') ~ '^[0-9]+$'
            THEN left(translate(p_number, ' -().', ''), -7) || '***'
        WHEN p_number <> '' THEN '***'
        ELSE p_number
    END;
$$;

COMMENT ON FUNCTION billing.mask_number IS
'p_number without what tells whose it is: of a telephone number all but the last seven digits is left (country and area), of an
address the domain, of anything else nothing. What is hidden stands as ***, whatever its length. NULL: NULL.';
