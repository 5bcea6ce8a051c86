-- record: what stands for a forgotten text.
CREATE OR REPLACE FUNCTION billing.pseudonym(p_salt bytea, p_text text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT '***' || left(encode(sha256(p_salt || sha256(p_salt || convert_to(p_text, 'UTF8'))), 'hex'), 16);
$$;

COMMENT ON FUNCTION billing.pseudonym IS
'*** and 16 hexadecimal digits: the same for the same text and salt, and not to be traced back without the salt.';
