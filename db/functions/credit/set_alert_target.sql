-- credit: where to tell a tenant.
CREATE OR REPLACE FUNCTION billing.set_alert_target(
    p_tenant_id bigint,
    p_kind text,
    p_address text,
    p_secret text DEFAULT NULL,
    p_is_active boolean DEFAULT true
)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_id bigint;
BEGIN
    PERFORM billing.require_tenant(p_tenant_id);
    INSERT INTO billing.alert_targets AS t (tenant_id, kind, address, secret, is_active)
    VALUES (
        p_tenant_id, p_kind, p_address,
        COALESCE(p_secret, (
            SELECT x.secret
            FROM billing.alert_targets AS x
            WHERE x.tenant_id = p_tenant_id
                AND x.kind = p_kind
                AND x.address = p_address
        )),
        p_is_active
    )
    ON CONFLICT (tenant_id, kind, address) DO UPDATE
    SET secret = EXCLUDED.secret, is_active = EXCLUDED.is_active
    RETURNING t.id INTO v_id;
    RETURN v_id;
EXCEPTION
    WHEN check_violation OR not_null_violation THEN
        RAISE EXCEPTION 'bad target of alerts'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_kind is neither webhook nor email, or p_address or p_secret is not as it should be for it.',
                HINT = 'A webhook has an http or https URL and a secret, an email an address and no secret.';
END;
$$;

COMMENT ON FUNCTION billing.set_alert_target IS
'Sends the alerts of p_tenant_id to p_address (kind webhook: an http or https URL, signed with p_secret; email) and gives the
target''s id; again changes its secret (NULL: as it was), or with p_is_active false sends nothing new there. Raises UB002, UB012.';
