-- measure: a resource's name for the eyes of those who need not know whose it is.
CREATE OR REPLACE FUNCTION billing.mask_key(p_key text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    -- Digits between letters are a part of a provider's own name for it.
    SELECT CASE
        WHEN strpos(p_key, '@') > 0 THEN billing.mask_number(p_key)
        ELSE regexp_replace(p_key, E'(?<![[:alnum:]])\\+?[0-9][0-9 ().-]{6,}[0-9](?![[:alnum:]])', '***', 'g')
    END;
$$;

COMMENT ON FUNCTION billing.mask_key IS
'p_key (usage_records.resource_id) with ***, where it holds what may be a telephone number (eight digits or more, with spaces,
dots, dashes and brackets between them) or an address.';
