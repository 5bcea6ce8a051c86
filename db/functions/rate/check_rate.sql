-- rate: trigger on pricing_rates; refuses a price that could not be trusted.
CREATE OR REPLACE FUNCTION billing.check_rate()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_other billing.pricing_rates;
BEGIN
    IF TG_RELID <> 'billing.pricing_rates'::regclass THEN
        PERFORM billing.require_own_table(TG_RELID, 'billing.pricing_rates');
    END IF;
    -- What has begun may have priced something.
    IF TG_OP <> 'INSERT' AND OLD.effective_from <= now()
        AND (
            TG_OP = 'DELETE'
            OR (OLD.plan_id, OLD.tenant_id, OLD.channel, OLD.resource_type, OLD.prefix, OLD.unit_price,
                OLD.initial_increment, OLD.billing_increment, OLD.connection_fee, OLD.minimum_charge,
                OLD.charge_model, OLD.terms, OLD.calendar_id, OLD.currency, OLD.effective_from)
            IS DISTINCT FROM
                (NEW.plan_id, NEW.tenant_id, NEW.channel, NEW.resource_type, NEW.prefix, NEW.unit_price,
                NEW.initial_increment, NEW.billing_increment, NEW.connection_fee, NEW.minimum_charge,
                NEW.charge_model, NEW.terms, NEW.calendar_id, NEW.currency, NEW.effective_from)
        )
    THEN
        RAISE EXCEPTION 'a price that has begun is history'
            USING ERRCODE = 'UB013',
                DETAIL = format('Rate %s is in force since %s.', OLD.id, OLD.effective_from),
                HINT = 'Set its effective_until and insert a new row for the new price.';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;

    IF NEW.charge_model IS DISTINCT FROM 'per_unit' THEN
        PERFORM billing.check_terms(NEW.charge_model, NEW.terms);
        NEW.unit_price := COALESCE(NEW.unit_price, billing.headline_price(NEW.charge_model, NEW.resource_type, NEW.terms));
    END IF;
    IF (
        NEW.unit_price >= 0 AND NEW.unit_price < 'Infinity' AND scale(NEW.unit_price) <= 20
        AND NEW.connection_fee >= 0 AND NEW.connection_fee < 'Infinity' AND scale(NEW.connection_fee) <= 20
        AND NEW.minimum_charge >= 0 AND NEW.minimum_charge < 'Infinity' AND scale(NEW.minimum_charge) <= 20
        AND NEW.initial_increment BETWEEN 0 AND 86400
        AND NEW.billing_increment BETWEEN 0 AND 86400
        AND NEW.prefix ~ '^[0-9]{0,20}$'
        AND NEW.currency ~ '^[A-Z]{3}$'
        -- As price_or_raise has it. Most clients cannot read what is beyond.
        AND NEW.effective_from >= '0001-01-02' AND NEW.effective_from < '9999-12-31'
        AND (NEW.effective_until > NEW.effective_from AND NEW.effective_until < '9999-12-31') IS NOT FALSE
    ) IS NOT TRUE THEN
        RAISE EXCEPTION 'bad terms of a rate'
            USING ERRCODE = 'UB005',
                DETAIL = format('unit_price %L, connection_fee %L, minimum_charge %L, increments %L/%L, prefix %L, currency %L, from %L until %L.',
                    NEW.unit_price, NEW.connection_fee, NEW.minimum_charge, NEW.initial_increment,
                    NEW.billing_increment, NEW.prefix, NEW.currency, NEW.effective_from, NEW.effective_until),
                HINT = 'Amounts are finite, not negative and have at most 20 decimals, increments are 0 to 86400 s, a prefix is at most 20 digits without +, a currency is three capitals, and a rate ends after it begins, at an instant before the year 10000 or never (NULL).';
    END IF;
    IF billing.is_by_terms(NEW.charge_model, NEW.terms) IS NOT FALSE OR NEW.calendar_id IS NOT NULL THEN
        PERFORM billing.check_rate_terms(NEW);
    END IF;
    IF NEW.tenant_id IS NOT NULL AND NOT EXISTS (SELECT FROM public.tenants WHERE id = NEW.tenant_id) THEN
        RAISE EXCEPTION 'unknown tenant'
            USING ERRCODE = 'UB002',
                DETAIL = format('There is no tenant %s.', NEW.tenant_id),
                HINT = billing.problem_hint('UB002');
    END IF;
    IF NEW.plan_id IS NOT NULL AND NOT EXISTS (SELECT FROM billing.pricing_plans WHERE id = NEW.plan_id) THEN
        RAISE EXCEPTION 'unknown plan'
            USING ERRCODE = 'UB002',
                DETAIL = format('There is no plan %s.', NEW.plan_id),
                HINT = 'billing.pricing_plans lists the plans.';
    END IF;

    IF NEW.is_active THEN
        -- Whoever is entering a price for this card is waited for, so that his is seen.
        PERFORM billing.lock_card(COALESCE(NEW.tenant_id, -NEW.plan_id, 0), NEW.channel, NEW.resource_type);
        SELECT *
        INTO v_other
        FROM (
            -- OFFSET 0 keeps the planner to the index by prefix: most rates of a deck have their time in common.
            SELECT *
            FROM billing.pricing_rates AS x
            WHERE x.card = COALESCE(NEW.tenant_id, -NEW.plan_id, 0)
                AND x.channel = NEW.channel
                AND x.resource_type = NEW.resource_type
                AND x.prefix = NEW.prefix
            OFFSET 0
        ) AS r
        WHERE r.is_active
            AND r.id <> NEW.id
            AND tstzrange(r.effective_from, r.effective_until) && tstzrange(NEW.effective_from, NEW.effective_until)
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'two rates in force at one time'
                USING ERRCODE = 'UB010',
                    DETAIL = format('Rate %s (from %s until %s) overlaps rate %s (from %s until %s) for %s/%s, prefix %L.',
                        NEW.id, NEW.effective_from, COALESCE(NEW.effective_until::text, 'open'),
                        v_other.id, v_other.effective_from, COALESCE(v_other.effective_until::text, 'open'),
                        NEW.channel, NEW.resource_type, NEW.prefix),
                    HINT = format('Set effective_until of rate %s to where the new one begins.', v_other.id);
        END IF;
    END IF;
    RETURN NEW;
END;
$$;

COMMENT ON FUNCTION billing.check_rate IS
'Refuses overlapping rates (UB010), bad terms (UB005), unknown tenants and plans (UB002), and changes to a price that
has begun (UB013). The constraints of the table hold the same where a snapshot is too old to see the other rate. Fills in
the unit_price of a rate whose prices are in its terms.';
