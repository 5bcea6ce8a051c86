-- rate: what a rate deck would change on a card, line by line; import_deck does it.
CREATE OR REPLACE FUNCTION billing.compare_deck(
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
    p_replace_future boolean DEFAULT false
)
RETURNS TABLE (
    action text,
    line integer,
    prefix text,
    old_price numeric,
    new_price numeric,
    reason text,
    rate_id bigint,
    new_rate billing.pricing_rates
)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
-- How many lines there are is not known when this is planned, and nested loops would make a deck quadratic.
SET enable_nestloop = off
-- What is left of them counts as so costly that the plan would be compiled, for a second.
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_card bigint := billing.find_card(p_card);
    v_problem text;
    v_calendar_id bigint;
    v_bands text[];
    v_lines_given CONSTANT boolean := jsonb_typeof(p_lines) = 'array';
BEGIN
    IF p_calendar IS NOT NULL THEN
        SELECT c.id, ARRAY(SELECT b.band FROM billing.calendar_bands AS b WHERE b.calendar_id = c.id) || 'holiday'::text
        INTO v_calendar_id, v_bands
        FROM billing.calendars AS c
        WHERE c.name = p_calendar;
    END IF;
    v_problem := CASE
        WHEN v_lines_given IS NOT TRUE THEN 'the lines are not a JSON array'
        WHEN isfinite(p_effective_from) IS NOT TRUE THEN 'effective_from is not an instant'
        WHEN (p_channel <> '' AND p_resource_type <> '') IS NOT TRUE THEN 'channel and resource are not named'
        WHEN (p_currency ~ '^[A-Z]{3}$') IS NOT TRUE THEN format('currency is %L', p_currency)
        WHEN (p_price_divisor > 0 AND p_price_divisor < 'Infinity') IS NOT TRUE
            THEN format('the divisor of prices is %s', COALESCE(p_price_divisor::text, 'NULL'))
        WHEN p_international_prefix !~ '^[0-9]+$' THEN format('the international prefix is %L', p_international_prefix)
        WHEN p_calendar IS NOT NULL AND v_calendar_id IS NULL THEN format('there is no calendar %L', p_calendar)
    END;
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION 'bad argument'
            USING ERRCODE = 'UB012',
                DETAIL = format('%s.', v_problem),
                HINT = 'Currencies are three capitals, divisors positive, international prefixes digits such as 00, and billing.calendars lists the calendars.';
    END IF;

    RETURN QUERY
    WITH lines AS MATERIALIZED (
        SELECT * FROM billing.read_deck(p_lines, p_price_divisor, p_international_prefix, v_bands, p_base_band)
    ),
    -- What a line leaves empty: for a band as for the flat price, for that 1 s and no fees.
    base AS (
        SELECT
            l.line, l.prefix, l.unit_price, l.description,
            COALESCE(l.initial_increment, 1) AS initial_increment,
            COALESCE(l.billing_increment, 1) AS billing_increment,
            COALESCE(l.connection_fee, 0) AS connection_fee,
            COALESCE(l.minimum_charge, 0) AS minimum_charge
        FROM lines AS l
        WHERE l.problem IS NULL
            AND l.band = ''
    ),
    bands AS (
        SELECT
            l.prefix,
            jsonb_object_agg(l.band, jsonb_strip_nulls(jsonb_build_object(
                'unit_price', l.unit_price,
                'initial_increment', l.initial_increment,
                'increment', l.billing_increment,
                'connection_fee', l.connection_fee
            ))) AS bands
        FROM lines AS l
        WHERE l.problem IS NULL
            AND l.band <> ''
        GROUP BY l.prefix
    ),
    deck AS (
        SELECT
            b.*,
            CASE WHEN s.bands IS NOT NULL THEN v_calendar_id END AS calendar_id,
            CASE WHEN s.bands IS NULL THEN '{}' ELSE jsonb_build_object('bands', s.bands) END AS terms
        FROM base AS b
        LEFT JOIN bands AS s ON s.prefix = b.prefix
    ),
    card AS MATERIALIZED (
        SELECT r AS rate, r.*
        FROM billing.pricing_rates AS r
        WHERE r.card = v_card
            AND r.channel = p_channel
            AND r.resource_type = p_resource_type
            AND r.is_active
            AND (r.effective_until IS NULL OR r.effective_until > p_effective_from)
    ),
    paired AS MATERIALIZED (
        SELECT
            COALESCE(d.prefix, c.prefix) AS prefix,
            d.line,
            d.unit_price AS new_price,
            c.rate AS old_rate,
            c.id AS rate_id,
            c.effective_from AS since,
            c.effective_until AS until,
            c.effective_until IS NULL AND c.calendar_id IS NULL AND d.calendar_id IS NULL AND c.currency = p_currency
                AND (c.unit_price, c.initial_increment, c.billing_increment, c.connection_fee, c.minimum_charge)
                = (d.unit_price, d.initial_increment, d.billing_increment, d.connection_fee, d.minimum_charge) AS is_same,
            COALESCE(billing.is_deck_rate(c.charge_model, c.terms), true) AS is_deck_rate,
            d.initial_increment, d.billing_increment, d.connection_fee, d.minimum_charge, d.terms, d.description, d.calendar_id
        FROM deck AS d
        FULL JOIN (SELECT * FROM card WHERE effective_from <= p_effective_from) AS c ON c.prefix = d.prefix
    ),
    written AS MATERIALIZED (
        SELECT
            p.*,
            CASE WHEN p.line IS NOT NULL AND p.is_same IS NOT TRUE THEN jsonb_populate_record(
                NULL::billing.pricing_rates,
                jsonb_build_object(
                    'plan_id', CASE WHEN v_card < 0 THEN -v_card END,
                    'tenant_id', CASE WHEN v_card > 0 THEN v_card END,
                    'channel', p_channel,
                    'resource_type', p_resource_type,
                    'prefix', p.prefix,
                    'unit_price', p.new_price,
                    'initial_increment', p.initial_increment,
                    'billing_increment', p.billing_increment,
                    'connection_fee', p.connection_fee,
                    'minimum_charge', p.minimum_charge,
                    'charge_model', 'per_unit',
                    'terms', p.terms,
                    'currency', p_currency,
                    'effective_from', p_effective_from,
                    'is_active', true,
                    'description', p.description,
                    'calendar_id', p.calendar_id
                )
            ) END AS new_rate
        FROM paired AS p
    ),
    compared AS MATERIALIZED (
        SELECT
            p.*,
            CASE
                WHEN p.rate_id IS NULL OR p.line IS NULL THEN NULL
                -- Most lines of most decks: nothing to describe.
                WHEN p.is_same THEN ''
                ELSE concat_ws(
                    '; ',
                    billing.describe_rate_change(p.old_rate, p.new_rate),
                    CASE WHEN p.until IS NOT NULL THEN format('it was to end at %s', p.until) END
                )
            END AS change
        FROM written AS p
    )
    SELECT
        CASE
            WHEN NOT p.is_deck_rate THEN 'rejected'
            WHEN p.change = '' THEN 'unchanged'
            WHEN p.since = p_effective_from AND NOT (p_replace_future AND p.since > statement_timestamp()) THEN 'conflict'
            WHEN p.rate_id IS NULL THEN 'added'
            WHEN p.line IS NULL THEN 'ended'
            ELSE 'changed'
        END,
        p.line,
        p.prefix,
        (p.old_rate).unit_price,
        p.new_price,
        CASE
            WHEN NOT p.is_deck_rate THEN format('rate %s has terms that a deck cannot say', p.rate_id)
            WHEN p.change = '' THEN NULL
            WHEN p.since = p_effective_from AND NOT (p_replace_future AND p.since > statement_timestamp())
                THEN concat_ws(': ', format('rate %s begins at the same instant', p.rate_id), NULLIF(p.change, ''))
            WHEN p.line IS NULL THEN 'not in the deck'
            ELSE p.change
        END,
        p.rate_id,
        p.new_rate
    FROM compared AS p
    WHERE p.line IS NOT NULL
        -- What the deck does not say anything about stays: on demand, and where it could not be read.
        OR (NOT p_keep_missing AND p.is_deck_rate AND p.prefix NOT IN (SELECT l.prefix FROM lines AS l WHERE l.prefix IS NOT NULL))
    UNION ALL
    SELECT 'rejected', l.line, l.prefix, NULL, l.unit_price, l.problem, NULL, NULL
    FROM lines AS l
    WHERE l.problem IS NOT NULL
    UNION ALL
    -- Prices entered ahead would end what the deck says without a word.
    SELECT
        CASE WHEN p_replace_future AND c.effective_from > statement_timestamp() THEN 'withdrawn' ELSE 'conflict' END,
        NULL,
        c.prefix,
        c.unit_price,
        NULL,
        format('rate %s begins later, at %s', c.id, c.effective_from),
        c.id,
        NULL
    FROM card AS c
    WHERE c.effective_from > p_effective_from
        AND billing.is_deck_rate(c.charge_model, c.terms)
        AND (
            NOT p_keep_missing AND c.prefix NOT IN (SELECT l.prefix FROM lines AS l WHERE l.problem IS NOT NULL AND l.prefix IS NOT NULL)
            OR c.prefix IN (SELECT d.prefix FROM deck AS d)
        )
    ORDER BY 2, 3, 1;
END;
$$;

COMMENT ON FUNCTION billing.compare_deck IS
'What the deck p_lines (as read_deck takes them) would change from p_effective_from on, on the card p_card (default,
plan:NAME, tenant:ID). action: added; changed and ended (the price in force ends then); unchanged (left alone); rejected
(a line that cannot be taken, with reason; what it names stays as it is); conflict (a price begins then or later, which
the deck would contradict); withdrawn (with p_replace_future: such a price, not begun yet). A deck is a whole: what it
leaves out is ended, unless p_keep_missing. rate_id: the price that changes or stands in the way; new_rate: the one to
write, NULL: none. Prices in major units of p_currency, per unit of the resource.';
