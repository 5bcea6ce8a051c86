-- operate: what the catalog says of a policy, in short.
CREATE OR REPLACE FUNCTION billing.policy_digest(p_policy oid)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT md5(concat_ws(
        ' ', p.polcmd, p.polpermissive,
        -- A dump names them in another order.
        ARRAY(SELECT r::regrole::text FROM unnest(p.polroles) AS r ORDER BY 1), pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
    ))
    FROM pg_policy AS p
    WHERE p.oid = p_policy;
$$;

COMMENT ON FUNCTION billing.policy_digest IS 'A digest of all that pg_policy holds of a policy: another one tells that somebody altered it.';
