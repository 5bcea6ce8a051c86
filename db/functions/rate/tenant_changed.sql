-- rate: trigger on tenants; remembers what holds for the tenant from now on.
CREATE OR REPLACE FUNCTION billing.tenant_changed()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_from timestamptz;
    v_is_billed boolean := EXISTS (SELECT FROM billing.usage_sums WHERE tenant_id = NEW.id)
        OR EXISTS (SELECT FROM billing.usage_deltas WHERE tenant_id = NEW.id);
    v_looks_closer boolean;
    v_sees_cards boolean;
BEGIN
    PERFORM billing.require_own_table(TG_RELID, 'public.tenants');
    IF TG_OP = 'UPDATE' AND COALESCE(OLD.currency, 'USD') <> COALESCE(NEW.currency, 'USD') AND (
        v_is_billed
        -- What a plan includes is taken back with the plan's currency; what was bought, or invoiced, stays what it is.
        OR EXISTS (SELECT FROM billing.credit_entries WHERE tenant_id = NEW.id AND kind <> 'included')
        OR EXISTS (SELECT FROM billing.invoices WHERE tenant_id = NEW.id AND status <> 'draft')
    ) THEN
        RAISE EXCEPTION 'the currency of a tenant with usage, credit or invoices cannot change'
            USING ERRCODE = 'UB012',
                DETAIL = format('Tenant %s has them in %s.', NEW.id, COALESCE(OLD.currency, 'USD')),
                HINT = 'Open a new tenant for the new currency.';
    END IF;

    -- Whoever enters the first price of the plan's card from now on waits for this (see lock_card); who is just entering
    -- it, or says so, is not waited for. The tenant's own price waits for, or holds, the tenant's row.
    v_sees_cards := COALESCE(pg_try_advisory_xact_lock_shared(hashtextextended('billing.list_cards', -NEW.plan_id)), true)
        AND current_setting('transaction_isolation') = 'read committed';

    -- Nobody may begin to reserve (look_closer) between this look and the new row.
    PERFORM FROM billing.tenant_terms WHERE tenant_id = NEW.id FOR UPDATE;
    v_looks_closer := COALESCE((SELECT bool_or(looks_closer) FROM billing.tenant_terms WHERE tenant_id = NEW.id), false);

    -- Until something was billed, a change only sets the tenant up, and holds from the beginning.
    IF NOT v_is_billed THEN
        DELETE FROM billing.tenant_terms WHERE tenant_id = NEW.id;
    END IF;
    -- The last of the terms holds now. The transaction of the change before may have begun later than this one.
    SELECT CASE count(*) WHEN 0 THEN '-infinity' ELSE GREATEST(now(), max(valid_from)) END
    INTO v_from
    FROM billing.tenant_terms
    WHERE tenant_id = NEW.id;

    INSERT INTO billing.tenant_terms (tenant_id, valid_from, plan_id, timezone, currency, cards, looks_closer)
    VALUES (
        NEW.id, v_from, NEW.plan_id, COALESCE(NEW.timezone, 'UTC'), COALESCE(NEW.currency, 'USD'),
        -- Who may not see the first price of a card, as in an old snapshot, lists all that there may be.
        CASE WHEN v_sees_cards THEN billing.list_cards(NEW.id, NEW.plan_id)
            ELSE array_remove(ARRAY[NEW.id, -NEW.plan_id, 0], NULL) END,
        v_looks_closer
    )
    ON CONFLICT (tenant_id, valid_from) DO UPDATE
    SET
        plan_id = EXCLUDED.plan_id,
        timezone = EXCLUDED.timezone,
        currency = EXCLUDED.currency,
        cards = EXCLUDED.cards;
    RETURN NULL;
END;
$$;

COMMENT ON FUNCTION billing.tenant_changed IS
'Adds a row to billing.tenant_terms when a tenant appears or changes plan, zone or currency. A table that was there
before may leave zone and currency open: UTC and USD then. Refuses another currency once there is usage, credit or an invoice (UB012): sums
of two currencies are no sums.';
