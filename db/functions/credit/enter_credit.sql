-- credit: writes an entry, what it takes from which lot, and the balance. The only writer of all three.
CREATE OR REPLACE FUNCTION billing.enter_credit(
    p_tenant_id bigint,
    p_amount numeric,
    p_kind text,
    p_reference text,
    p_expires_at timestamptz DEFAULT NULL,
    p_priority integer DEFAULT 0,
    p_valid_from timestamptz DEFAULT NULL,
    p_lots bigint[] DEFAULT NULL,
    p_amounts numeric[] DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint;
BEGIN
    INSERT INTO billing.credit_entries (tenant_id, amount, kind, reference, expires_at, priority, valid_from, lot_id)
    VALUES (
        p_tenant_id, p_amount, p_kind, p_reference, p_expires_at, p_priority, p_valid_from,
        CASE WHEN p_kind = 'expiry' THEN p_lots[1] END
    )
    ON CONFLICT (tenant_id, reference) DO NOTHING
    RETURNING id INTO v_id;
    IF v_id IS NULL THEN
        RETURN NULL;
    END IF;

    IF p_amount > 0 THEN
        INSERT INTO billing.credit_expiries (tenant_id, entry_id, expires_at, look_at)
        SELECT p_tenant_id, v_id, p_expires_at, p_expires_at
        WHERE p_expires_at IS NOT NULL;
        -- A debt is paid by what comes first, oldest debt first.
        INSERT INTO billing.credit_uses (tenant_id, lot_id, entry_id, amount)
        SELECT p_tenant_id, v_id, d.id, LEAST(d.owed, p_amount - d.before)
        FROM (
            SELECT o.id, o.owed, sum(o.owed) OVER (ORDER BY o.id) - o.owed AS before
            FROM (
                SELECT e.id, -e.amount - COALESCE(sum(u.amount), 0) AS owed
                FROM billing.credit_entries AS e
                LEFT JOIN billing.credit_uses AS u ON u.tenant_id = e.tenant_id AND u.entry_id = e.id
                WHERE e.tenant_id = p_tenant_id
                    AND e.amount < 0
                GROUP BY e.id, e.amount
            ) AS o
            WHERE o.owed > 0
        ) AS d
        WHERE d.before < p_amount;
    ELSE
        INSERT INTO billing.credit_uses (tenant_id, lot_id, entry_id, amount)
        SELECT p_tenant_id, t.lot_id, v_id, t.amount
        FROM unnest(p_lots, p_amounts) AS t (lot_id, amount);
    END IF;

    UPDATE public.tenants
    SET credit_balance = COALESCE(credit_balance, 0) + p_amount
    WHERE id = p_tenant_id;
    RETURN v_id;
END;
$$;

COMMENT ON FUNCTION billing.enter_credit IS
'Writes one entry and gives its id, or NULL where the reference is taken. An entry that takes takes p_amounts from p_lots; one
that adds pays debts first. The caller has checked the figures, and holds the tenant''s row (lock_credit).';
