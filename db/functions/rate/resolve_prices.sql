-- rate: flattens one card's prices for one resource, so that one probe finds the longest prefix in force.
CREATE OR REPLACE FUNCTION billing.resolve_prices(p_card bigint, p_channel text, p_resource_type text)
RETURNS void
LANGUAGE plpgsql
-- The sizes of the steps below are not known when they are planned, and nested loops would make a deck quadratic.
SET enable_nestloop = off
AS $$
BEGIN
    -- Two changes of one card at a time would each flatten without the other.
    PERFORM pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'billing.resolve_prices', p_card, p_channel, p_resource_type), 0));

    -- The first price of a card puts the card on the list of those who may use it.
    UPDATE billing.tenant_terms
    SET cards = billing.list_cards(tenant_id, plan_id)
    WHERE (tenant_id = p_card OR plan_id = -p_card)
        AND cards IS DISTINCT FROM billing.list_cards(tenant_id, plan_id);

    DELETE FROM billing.resolved_prices
    WHERE card = p_card
        AND channel = p_channel
        AND resource_type = p_resource_type;

    INSERT INTO billing.resolved_prices (
        card, channel, resource_type, lo, valid_from, rate_id, currency,
        unit_price, initial_increment, billing_increment, connection_fee, minimum_charge, by_terms
    )
    WITH rates AS MATERIALIZED (
        SELECT *
        FROM billing.pricing_rates
        WHERE card = p_card
            AND channel = p_channel
            AND resource_type = p_resource_type
            AND is_active
    ),
    -- A range begins where a prefix begins and where it ends. Between two such points the prefixes that cover a
    -- number are those that cover the point. ('19' ends before '1:', since ':' follows '9'.)
    points AS (
        SELECT ''::text COLLATE "C" AS lo
        FROM rates
        UNION
        SELECT prefix
        FROM rates
        UNION
        SELECT left(prefix, -1) || chr(ascii(right(prefix, 1)) + 1)
        FROM rates
        WHERE prefix <> ''
    ),
    covering AS MATERIALIZED (
        SELECT p.lo, r.id, r.prefix, r.effective_from, r.effective_until
        FROM points AS p
        CROSS JOIN LATERAL generate_series(0, length(p.lo)) AS n
        INNER JOIN rates AS r ON r.prefix = left(p.lo, n)
    ),
    instants AS (
        SELECT lo, '-infinity'::timestamptz AS at
        FROM points
        UNION
        SELECT lo, effective_from
        FROM covering
        UNION
        SELECT lo, effective_until
        FROM covering
        WHERE effective_until IS NOT NULL
    ),
    winners AS (
        SELECT DISTINCT ON (i.lo, i.at) i.lo, i.at, c.id
        FROM instants AS i
        LEFT JOIN covering AS c
            ON c.lo = i.lo
            AND c.effective_from <= i.at
            AND (c.effective_until IS NULL OR c.effective_until > i.at)
        ORDER BY i.lo, i.at, length(c.prefix) DESC NULLS LAST
    ),
    changes AS (
        SELECT *, lag(id) OVER (PARTITION BY lo ORDER BY at) AS id_before
        FROM winners
    )
    SELECT
        p_card, p_channel, p_resource_type, w.lo, w.at, w.id, r.currency,
        r.unit_price, r.initial_increment, r.billing_increment, r.connection_fee, r.minimum_charge,
        COALESCE(billing.is_by_terms(r.charge_model, r.terms), false)
    FROM changes AS w
    LEFT JOIN rates AS r ON r.id = w.id
    WHERE w.at = '-infinity'
        OR w.id IS DISTINCT FROM w.id_before;
END;
$$;

COMMENT ON FUNCTION billing.resolve_prices IS
'Writes billing.resolved_prices anew for one card, channel and resource. Cost grows with the card, not with usage.';
