-- operate: the chain hash of a seal.
CREATE OR REPLACE FUNCTION billing.hash_seal(p_previous bytea, p_seal billing.seals)
RETURNS bytea
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT billing.chain_hash(
        COALESCE(p_previous, decode(repeat('00', 32), 'hex')),
        format('%s|%s|%s|%s|%s|%s|%s', (p_seal).id, (p_seal).series, ((p_seal).cut).last_record_id, ((p_seal).cut).snapshot,
            ((p_seal).cut).xact, (p_seal).records, extract(epoch FROM (p_seal).sealed_at)),
        (p_seal).content_hash
    );
$$;

COMMENT ON FUNCTION billing.hash_seal IS
'What chain_hash of a seal must be, after that of the seal before (NULL: it is the first).';
