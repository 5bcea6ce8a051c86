-- invoice: the hash of a document in its series.
CREATE OR REPLACE FUNCTION billing.chain_hash(p_previous bytea, p_number text, p_content_hash bytea)
RETURNS bytea
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT sha256(p_previous || convert_to(p_number, 'UTF8') || p_content_hash);
$$;

COMMENT ON FUNCTION billing.chain_hash IS
'sha256(p_previous, the number as UTF-8, p_content_hash): p_previous is the chain hash of the number before, or 32 zero bytes.';
