-- invoice: splits an amount to the last cent.
CREATE OR REPLACE FUNCTION billing.split_amount(p_amount numeric, p_weights numeric[], p_decimals integer)
RETURNS numeric[]
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    -- In whole minor units and whole weights: no quotient is ever cut off.
    WITH parts AS (
        SELECT w.n, (w.weight * total.sign * u.units - f.whole * abs(total.weight)) AS rest, f.whole
        FROM unnest(p_weights) WITH ORDINALITY AS w (weight, n)
        CROSS JOIN (SELECT round(p_amount * 10::numeric ^ p_decimals) AS units) AS u
        CROSS JOIN (SELECT sum(x) AS weight, sign(sum(x)) AS sign FROM unnest(p_weights) AS x) AS total
        CROSS JOIN LATERAL (SELECT w.weight * total.sign * u.units AS dividend) AS d
        CROSS JOIN LATERAL (
            SELECT div(d.dividend, abs(total.weight))
                - CASE WHEN d.dividend < 0 AND mod(d.dividend, abs(total.weight)) <> 0 THEN 1 ELSE 0 END AS whole
        ) AS f
        WHERE total.weight <> 0
    ),
    ranked AS (
        SELECT
            n, whole, row_number() OVER (ORDER BY rest DESC, n) AS rank,
            round(p_amount * 10::numeric ^ p_decimals) - sum(whole) OVER () AS left_over
        FROM parts
    )
    SELECT COALESCE(
        array_agg(round((whole + CASE WHEN rank <= left_over THEN 1 ELSE 0 END) * (1 / 10::numeric ^ p_decimals), p_decimals) ORDER BY n),
        '{}'
    )
    FROM ranked;
$$;

COMMENT ON FUNCTION billing.split_amount IS
'p_amount in shares proportional to p_weights, each of p_decimals decimals, that add up to it: largest remainder, of equal
ones the first. No shares where the weights add up to nothing.';
