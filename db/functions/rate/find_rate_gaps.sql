-- rate: when a prefix had no price of its own, though it had one before.
CREATE OR REPLACE FUNCTION billing.find_rate_gaps(
    p_card text,
    p_channel text DEFAULT NULL,
    p_resource_type text DEFAULT NULL,
    p_since timestamptz DEFAULT '-infinity'
)
RETURNS TABLE (
    channel text,
    resource_type text,
    prefix text,
    gap_from timestamptz,
    gap_until timestamptz,
    steps_in text,
    rate_id bigint
)
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    WITH rates AS MATERIALIZED (
        SELECT r.id, r.card, r.channel, r.resource_type, r.prefix, r.effective_from, r.effective_until
        FROM billing.pricing_rates AS r
        WHERE r.card = (SELECT billing.find_card(p_card))
            AND (p_channel IS NULL OR r.channel = p_channel)
            AND (p_resource_type IS NULL OR r.resource_type = p_resource_type)
            AND r.is_active
    ),
    gaps AS (
        SELECT card, channel, resource_type, prefix, effective_until AS gap_from, next_from AS gap_until
        FROM (
            SELECT
                *,
                lead(effective_from) OVER (PARTITION BY channel, resource_type, prefix ORDER BY effective_from) AS next_from
            FROM rates
        ) AS r
        WHERE (effective_until < next_from OR (effective_until IS NOT NULL AND next_from IS NULL))
            AND (next_from > p_since OR next_from IS NULL)
    ),
    -- Shorter prefixes that have a price at some time of the gap, and where theirs begin and end in it.
    stand_ins AS MATERIALIZED (
        SELECT g.channel, g.resource_type, g.prefix, g.gap_from, g.gap_until, r.id, r.prefix AS shorter, r.effective_from, r.effective_until
        FROM gaps AS g
        CROSS JOIN LATERAL generate_series(0, length(g.prefix) - 1) AS n
        INNER JOIN rates AS r
            ON r.channel = g.channel
            AND r.resource_type = g.resource_type
            AND r.prefix = left(g.prefix, n)
            AND (r.effective_until IS NULL OR r.effective_until > g.gap_from)
            AND (g.gap_until IS NULL OR r.effective_from < g.gap_until)
    ),
    instants AS (
        SELECT channel, resource_type, prefix, gap_from, gap_until, gap_from AS at FROM gaps
        UNION
        SELECT channel, resource_type, prefix, gap_from, gap_until, effective_from FROM stand_ins WHERE effective_from > gap_from
        UNION
        SELECT channel, resource_type, prefix, gap_from, gap_until, effective_until
        FROM stand_ins
        WHERE effective_until < gap_until OR (effective_until IS NOT NULL AND gap_until IS NULL)
    ),
    winners AS (
        SELECT DISTINCT ON (i.channel, i.resource_type, i.prefix, i.gap_from, i.at)
            i.*, s.shorter, s.id
        FROM instants AS i
        LEFT JOIN stand_ins AS s
            ON s.channel = i.channel
            AND s.resource_type = i.resource_type
            AND s.prefix = i.prefix
            AND s.gap_from = i.gap_from
            AND s.effective_from <= i.at
            AND (s.effective_until IS NULL OR s.effective_until > i.at)
        ORDER BY i.channel, i.resource_type, i.prefix, i.gap_from, i.at, length(s.shorter) DESC NULLS LAST
    ),
    changes AS (
        SELECT *, at = gap_from OR id IS DISTINCT FROM lag(id) OVER gap AS begins
        FROM winners
        WINDOW gap AS (PARTITION BY channel, resource_type, prefix, gap_from ORDER BY at)
    ),
    spans AS (
        SELECT *, COALESCE(lead(at) OVER (PARTITION BY channel, resource_type, prefix, gap_from ORDER BY at), gap_until) AS until
        FROM changes
        WHERE begins
    )
    SELECT s.channel, s.resource_type, s.prefix, s.at, s.until, s.shorter, s.id
    FROM spans AS s
    WHERE s.until > p_since OR s.until IS NULL
    ORDER BY s.channel, s.resource_type, s.prefix, s.at;
$$;

COMMENT ON FUNCTION billing.find_rate_gaps IS
'Periods from gap_from until gap_until (NULL: for good) in which a prefix of p_card that had a price has none. steps_in:
the shorter prefix whose price rate_id holds meanwhile; NULL: this card has none, and the next card or UB001 decides. A
gap in which that changes is several rows. Only what reaches beyond p_since is listed.';
