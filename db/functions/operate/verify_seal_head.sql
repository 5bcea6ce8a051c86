-- operate: whether a hash that was kept elsewhere is still of this database.
CREATE OR REPLACE FUNCTION billing.verify_seal_head(p_hash text)
RETURNS TABLE (check_name text, subject text, detail text)
LANGUAGE sql
STABLE
AS $$
    SELECT
        'the chain has the hash kept elsewhere',
        COALESCE(lower(btrim(p_hash)), 'NULL'),
        format('no seal up to %s has this hash: seals were rewritten or taken away, or it is of another database',
            COALESCE((SELECT max(s.id) FROM billing.seals AS s), 0))
    WHERE NOT EXISTS (SELECT FROM billing.seals AS s WHERE encode(s.chain_hash, 'hex') = lower(btrim(p_hash)));
$$;

COMMENT ON FUNCTION billing.verify_seal_head IS
'No rows: p_hash (hexadecimal, as get_seal_head gave it some day) is the hash of a seal. Together with verify(), which follows the
chain and what is sealed, nothing that was sealed by then has changed, whoever owns the database.';
