-- rate: what changed on a card between two instants.
CREATE OR REPLACE FUNCTION billing.diff_rates(
    p_card text,
    p_from timestamptz,
    p_to timestamptz DEFAULT now(),
    p_channel text DEFAULT NULL,
    p_resource_type text DEFAULT NULL
)
RETURNS TABLE (
    action text,
    channel text,
    resource_type text,
    prefix text,
    old_price numeric,
    new_price numeric,
    reason text,
    old_rate_id bigint,
    new_rate_id bigint
)
LANGUAGE sql
STABLE
PARALLEL SAFE
AS $$
    SELECT
        CASE WHEN d.old_id IS NULL THEN 'added' WHEN d.new_id IS NULL THEN 'ended' ELSE 'changed' END,
        d.channel, d.resource_type, d.prefix, d.old_price, d.new_price, d.change, d.old_id, d.new_id
    FROM (
        SELECT
            channel, resource_type, prefix,
            o.id AS old_id, n.id AS new_id, o.unit_price AS old_price, n.unit_price AS new_price,
            CASE WHEN o.id <> n.id THEN billing.describe_rate_change(
                (SELECT r FROM billing.pricing_rates AS r WHERE r.id = o.id),
                (SELECT r FROM billing.pricing_rates AS r WHERE r.id = n.id)
            ) END AS change
        FROM billing.list_rates(p_card, p_channel, p_resource_type, '', p_from) AS o
        FULL JOIN billing.list_rates(p_card, p_channel, p_resource_type, '', p_to) AS n
            USING (channel, resource_type, prefix)
    ) AS d
    WHERE d.old_id IS NULL
        OR d.new_id IS NULL
        OR d.change IS NOT NULL
    ORDER BY d.channel, d.resource_type, d.prefix;
$$;

COMMENT ON FUNCTION billing.diff_rates IS
'How the prices of p_card in force at p_to differ from those in force at p_from: added, changed (reason says in what) or
ended. A price followed by an equal one is not listed.';
