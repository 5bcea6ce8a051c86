-- rate: the lines of a rate deck as prices, each line with what is wrong with it.
CREATE OR REPLACE FUNCTION billing.read_deck(
    p_lines jsonb,
    p_price_divisor numeric DEFAULT 1,
    p_international_prefix text DEFAULT NULL,
    p_bands text[] DEFAULT NULL,
    p_base_band text DEFAULT NULL
)
RETURNS TABLE (
    line integer,
    prefix text,
    band text,
    unit_price numeric,
    initial_increment numeric,
    billing_increment numeric,
    connection_fee numeric,
    minimum_charge numeric,
    description text,
    problem text
)
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    WITH given AS (
        SELECT
            t.line,
            t.problem,
            btrim(t.prefix) AS written,
            translate(btrim(t.prefix), ' -''', '') AS compact,
            CASE WHEN btrim(t.band) IN ('flat', p_base_band) THEN '' ELSE COALESCE(btrim(t.band), '') END AS band,
            btrim(t.unit_price) AS unit_price,
            btrim(t.connection_fee) AS connection_fee,
            btrim(t.minimum_charge) AS minimum_charge,
            -- Many decks write both increments in one column: 60/6.
            COALESCE(
                NULLIF(btrim(t.initial_increment), ''),
                CASE WHEN t.billing_increment LIKE '%/%' THEN btrim(split_part(t.billing_increment, '/', 1)) END
            ) AS initial_increment,
            btrim(substr(t.billing_increment, strpos(t.billing_increment, '/') + 1)) AS billing_increment,
            NULLIF(t.description, '') AS description
        FROM jsonb_to_recordset(p_lines) AS t (
            line integer, problem text, prefix text, band text, unit_price text, initial_increment text,
            billing_increment text, connection_fee text, minimum_charge text, description text
        )
    ),
    digits AS (
        SELECT
            g.*,
            CASE
                WHEN g.compact = '*' THEN ''
                WHEN g.compact !~ E'^\\+?[0-9]+$' THEN NULL
                WHEN g.compact LIKE '+%' THEN substr(g.compact, 2)
                WHEN starts_with(g.compact, p_international_prefix) THEN substr(g.compact, length(p_international_prefix) + 1)
                ELSE g.compact
            END AS prefix
        FROM given AS g
    ),
    read AS (
        SELECT
            d.line, d.prefix, d.band, d.description,
            unit_price.amount AS unit_price,
            initial_increment.amount AS initial_increment,
            billing_increment.amount AS billing_increment,
            connection_fee.amount AS connection_fee,
            minimum_charge.amount AS minimum_charge,
            COALESCE(d.problem, NULLIF(concat_ws(
                '; ',
                CASE
                    WHEN COALESCE(d.written, '') = '' THEN 'prefix is missing (* is every destination)'
                    -- 1-684 is a prefix; 4470-4479 would be read as a long one, and price nothing.
                    WHEN d.written ~ E'^\\+?([0-9]{3,})-[0-9]{3,}$'
                        AND length(split_part(d.written, '-', 2)) = length(ltrim(split_part(d.written, '-', 1), '+'))
                        AND split_part(d.written, '-', 2) > ltrim(split_part(d.written, '-', 1), '+')
                        THEN format('a range and not a prefix: %s', left(d.written, 41))
                    WHEN d.prefix IS NULL OR (d.prefix = '' AND d.compact <> '*')
                        THEN format('malformed prefix: %s', left(d.written, 40))
                    WHEN length(d.prefix) > 20 THEN format('prefix is longer than 20 digits: %s', left(d.prefix, 40))
                END,
                CASE WHEN COALESCE(d.unit_price, '') = '' THEN 'unit_price is missing' END,
                'unit_price ' || unit_price.problem,
                'connection_fee ' || connection_fee.problem,
                'minimum_charge ' || minimum_charge.problem,
                'initial_increment ' || initial_increment.problem,
                'billing_increment ' || billing_increment.problem,
                CASE WHEN initial_increment.amount > 86400 THEN format('initial_increment is over 86400 s: %s', initial_increment.amount) END,
                CASE WHEN billing_increment.amount > 86400 THEN format('billing_increment is over 86400 s: %s', billing_increment.amount) END,
                CASE
                    WHEN d.band = '' THEN NULL
                    WHEN p_bands IS NULL THEN format('band %s, and no calendar is given', d.band)
                    WHEN d.band <> ALL (p_bands) THEN format('the calendar has no band %s', d.band)
                END
            ), '')) AS problem
        FROM digits AS d
        CROSS JOIN LATERAL billing.read_amount(d.unit_price, p_price_divisor) AS unit_price
        CROSS JOIN LATERAL billing.read_amount(d.connection_fee, p_price_divisor) AS connection_fee
        CROSS JOIN LATERAL billing.read_amount(d.minimum_charge, p_price_divisor) AS minimum_charge
        CROSS JOIN LATERAL billing.read_amount(d.initial_increment) AS initial_increment
        CROSS JOIN LATERAL billing.read_amount(d.billing_increment) AS billing_increment
    ),
    -- A prefix is taken with all its lines or not at all.
    related AS (
        SELECT
            r.*,
            min(r.line) OVER same AS first_line,
            lead(r.line) OVER (same ORDER BY r.line) AS next_line,
            bool_or(r.band = '') OVER prefix AS has_base,
            max(r.minimum_charge) FILTER (WHERE r.band = '') OVER prefix AS base_minimum_charge
        FROM read AS r
        WINDOW
            same AS (PARTITION BY r.prefix, r.band),
            prefix AS (PARTITION BY r.prefix)
    ),
    judged AS (
        SELECT
            r.*,
            COALESCE(r.problem, CASE
                WHEN r.first_line < r.line THEN format('the same prefix as on line %s', r.first_line)
                WHEN r.next_line IS NOT NULL THEN format('the same prefix as on line %s', r.next_line)
                WHEN NOT r.has_base THEN 'there is no flat price beside the bands of this prefix'
                WHEN r.minimum_charge <> COALESCE(r.base_minimum_charge, 0) THEN 'a band cannot have a minimum_charge of its own'
            END) AS fault
        FROM related AS r
    )
    SELECT
        j.line, j.prefix, j.band, j.unit_price, j.initial_increment, j.billing_increment, j.connection_fee,
        j.minimum_charge, j.description,
        COALESCE(
            j.fault,
            'line ' || (min(j.line) FILTER (WHERE j.fault IS NOT NULL AND j.prefix IS NOT NULL) OVER (PARTITION BY j.prefix))
                || ' of the same prefix is rejected'
        )
    FROM judged AS j;
$$;

COMMENT ON FUNCTION billing.read_deck IS
'p_lines: an array of objects, each with line (its number in the file), prefix, unit_price and at will connection_fee,
minimum_charge, initial_increment, billing_increment, description and band, all as text; problem: why the reader of the
file could not read that line. Amounts are divided by p_price_divisor; p_international_prefix (00, 011) is taken off
prefixes that begin with it; p_bands are the bands that may be named, and p_base_band the one that gives the flat price.
problem: all that is wrong with a line, NULL: nothing. Fields left empty are NULL.';
