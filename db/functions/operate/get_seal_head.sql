-- operate: the last seal, to be kept elsewhere.
CREATE OR REPLACE FUNCTION billing.get_seal_head()
RETURNS TABLE (seal_id bigint, chain_hash text, sealed_at timestamptz, records bigint)
LANGUAGE sql
STABLE
AS $$
    SELECT s.id, encode(s.chain_hash, 'hex'), s.sealed_at, (SELECT sum(x.records) FROM billing.seals AS x)::bigint
    FROM billing.seals AS s
    ORDER BY s.id DESC
    LIMIT 1;
$$;

COMMENT ON FUNCTION billing.get_seal_head IS
'The last seal: its number, its hash in hexadecimal, which stands for all seals up to it, when it was made, and how many records
all seals have. Kept where the owner of the database cannot reach it, the hash is what verify_seal_head compares with. No row:
nothing is sealed.';
