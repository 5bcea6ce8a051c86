-- rate: puts a rate deck in force from an instant on, whole or not at all.
CREATE OR REPLACE FUNCTION billing.import_deck(
    p_lines jsonb,
    p_card text,
    p_channel text,
    p_resource_type text,
    p_effective_from timestamptz,
    p_currency text DEFAULT 'USD',
    p_price_divisor numeric DEFAULT 1,
    p_international_prefix text DEFAULT NULL,
    p_calendar text DEFAULT NULL,
    p_base_band text DEFAULT NULL,
    p_keep_missing boolean DEFAULT false,
    p_replace_future boolean DEFAULT false,
    p_skip_bad boolean DEFAULT false
)
RETURNS TABLE (
    action text,
    line integer,
    prefix text,
    old_price numeric,
    new_price numeric,
    reason text,
    rate_id bigint
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_count bigint;
    v_examples text;
BEGIN
    -- Taken before looking: two decks for one card come one after the other.
    PERFORM billing.lock_card(billing.find_card(p_card), p_channel, p_resource_type);

    CREATE TEMPORARY TABLE billing_deck_changes ON COMMIT DROP AS
    SELECT *
    FROM billing.compare_deck(
        p_lines, p_card, p_channel, p_resource_type, p_effective_from, p_currency, p_price_divisor,
        p_international_prefix, p_calendar, p_base_band, p_keep_missing, p_replace_future
    );

    SELECT count(*), string_agg(format('prefix %L: %s', d.prefix, d.reason), ', ' ORDER BY d.prefix) FILTER (WHERE d.n <= 5)
    INTO v_count, v_examples
    FROM (
        SELECT c.*, row_number() OVER (ORDER BY c.prefix, c.rate_id) AS n
        FROM pg_temp.billing_deck_changes AS c
        WHERE c.action = 'conflict'
    ) AS d;
    IF v_count > 0 THEN
        RAISE EXCEPTION 'the deck contradicts prices that begin with it or later'
            USING ERRCODE = 'UB010',
                DETAIL = format('%s in all; %s.', v_count, v_examples),
                HINT = 'Choose a later effective_from, or withdraw prices that have not begun (p_replace_future).';
    END IF;
    SELECT count(*), string_agg(format('line %s: %s', d.line, d.reason), ', ' ORDER BY d.line) FILTER (WHERE d.n <= 5)
    INTO v_count, v_examples
    FROM (
        SELECT c.*, row_number() OVER (ORDER BY c.line) AS n
        FROM pg_temp.billing_deck_changes AS c
        WHERE c.action = 'rejected'
    ) AS d;
    IF v_count > 0 AND p_skip_bad IS NOT TRUE THEN
        RAISE EXCEPTION 'the deck has bad lines'
            USING ERRCODE = 'UB005',
                DETAIL = format('%s in all; %s.', v_count, v_examples),
                HINT = 'Mend them, or import the rest (p_skip_bad); compare_deck lists them all.';
    END IF;

    -- Ended where they have a time before the deck, withdrawn where they would only begin with it or later.
    UPDATE billing.pricing_rates AS r
    SET
        effective_until = CASE WHEN r.effective_from < p_effective_from THEN p_effective_from ELSE r.effective_until END,
        is_active = r.effective_from < p_effective_from
    FROM pg_temp.billing_deck_changes AS c
    WHERE c.rate_id = r.id
        AND c.action IN ('changed', 'ended', 'withdrawn');

    INSERT INTO billing.pricing_rates (
        plan_id, tenant_id, channel, resource_type, prefix, unit_price, initial_increment, billing_increment,
        connection_fee, minimum_charge, terms, currency, effective_from, description, calendar_id
    )
    SELECT
        (c.new_rate).plan_id, (c.new_rate).tenant_id, (c.new_rate).channel, (c.new_rate).resource_type,
        (c.new_rate).prefix, (c.new_rate).unit_price, (c.new_rate).initial_increment, (c.new_rate).billing_increment,
        (c.new_rate).connection_fee, (c.new_rate).minimum_charge, (c.new_rate).terms, (c.new_rate).currency,
        (c.new_rate).effective_from, (c.new_rate).description, (c.new_rate).calendar_id
    FROM pg_temp.billing_deck_changes AS c
    WHERE c.action IN ('added', 'changed')
    ORDER BY c.prefix;

    RETURN QUERY
    SELECT c.action, c.line, c.prefix, c.old_price, c.new_price, c.reason, c.rate_id
    FROM pg_temp.billing_deck_changes AS c
    ORDER BY c.line, c.prefix, c.action;
    DROP TABLE pg_temp.billing_deck_changes;
END;
$$;

COMMENT ON FUNCTION billing.import_deck IS
'Writes what compare_deck finds, and returns it; arguments as there. Refused whole, nothing written, where the deck
contradicts prices that begin with it or later (UB010), or has a bad line (UB005) unless p_skip_bad: those lines are
then left out, and what they name stays as it is. Prices that change are ended at p_effective_from and followed by new
rows; importing the same deck again writes nothing. Usage rated before keeps its price until it is re-rated.';
