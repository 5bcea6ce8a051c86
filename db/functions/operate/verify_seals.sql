-- operate: whether what was sealed is as it was; no rows when it is.
CREATE OR REPLACE FUNCTION billing.verify_seals(p_from date DEFAULT NULL, p_to date DEFAULT NULL)
RETURNS TABLE (check_name text, subject text, detail text)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_series record;
BEGIN
    IF p_from IS NULL THEN
        RETURN QUERY
        SELECT
            'seals are an unbroken chain',
            format('seal %s', x.id),
            CASE WHEN x.id_before IS DISTINCT FROM x.id - 1 AND NOT (x.id = 1 AND x.id_before IS NULL)
                THEN format('the seal before it is %s', COALESCE(x.id_before::text, 'none'))
                ELSE 'its chain_hash does not follow from the one before and its columns' END
        FROM (
            SELECT s.id, s.chain_hash, lag(s.id) OVER in_order AS id_before, billing.hash_seal(lag(s.chain_hash) OVER in_order, s) AS hash
            FROM billing.seals AS s
            WINDOW in_order AS (ORDER BY s.id)
        ) AS x
        WHERE COALESCE(x.id_before, 0) <> x.id - 1
            OR x.chain_hash <> x.hash;
    END IF;

    -- A series at a time. Of some days: the months that they are in, and of those what was sealed since.
    FOR v_series IN
        SELECT s.series, array_agg(s.cut ORDER BY s.id) AS cuts, array_agg(s.id ORDER BY s.id) AS seal_ids, w.number AS first
        FROM billing.seals AS s
        INNER JOIN LATERAL (
            SELECT min(y.number)
            FROM (
                SELECT x.sealed_at, row_number() OVER (ORDER BY x.id) AS number
                FROM billing.seals AS x
                WHERE x.series = s.series
            ) AS y
            WHERE p_from IS NULL
                OR y.sealed_at >= p_from::timestamp AT TIME ZONE 'UTC'
        ) AS w (number) ON w.number IS NOT NULL
        WHERE (p_from IS NULL OR (s.month <= p_to AND s.month + interval '1 month' > p_from))
            -- What is not here is looked at when it is back.
            AND NOT EXISTS (SELECT FROM billing.detached_months AS d WHERE d.month = s.month)
        GROUP BY s.series, w.number
        ORDER BY s.series
    LOOP
        RETURN QUERY
        WITH broken AS (
            SELECT s.id, s.sealed_at, s.content_hash, s.ids, s.marks, d.content_hash AS hash_now, d.ids AS ids_now, d.marks AS marks_now
            FROM unnest(v_series.seal_ids) WITH ORDINALITY AS n (seal_id, number)
            INNER JOIN billing.seals AS s ON s.id = n.seal_id
            LEFT JOIN billing.digest_seals(v_series.series, v_series.cuts, v_series.first::integer) AS d ON d.number = n.number
            WHERE n.number >= v_series.first
                AND d.content_hash IS DISTINCT FROM s.content_hash
        ),
        named AS (
            SELECT b.id AS seal_id, b.sealed_at, r.id,
                CASE
                    WHEN r.mark_now IS NULL THEN 'it was there when seal %s was made (%s), and is gone'
                    WHEN r.mark IS NULL THEN 'it was not there when seal %s was made (%s), though it says so'
                    ELSE 'it was another when seal %s was made (%s)'
                END AS what
            FROM broken AS b
            CROSS JOIN LATERAL (
                SELECT COALESCE(o.id, n.id) AS id, o.mark, n.mark AS mark_now
                FROM unnest(b.ids, b.marks) AS o (id, mark)
                FULL JOIN unnest(b.ids_now, b.marks_now) AS n (id, mark) ON n.id = o.id
                WHERE o.mark IS DISTINCT FROM n.mark
            ) AS r
        )
        SELECT
            'what is sealed is as it was',
            CASE WHEN v_series.series LIKE 'usage_records %' THEN format('usage record %s', n.id)
                ELSE format('%s %s', v_series.series, n.id) END,
            format(n.what, n.seal_id, n.sealed_at)
        FROM named AS n
        UNION ALL
        SELECT 'what is sealed is as it was', format('seal %s', b.id),
            format('its hash is not that of %s, and its marks do not say where', v_series.series)
        FROM broken AS b
        WHERE NOT EXISTS (SELECT FROM named AS n WHERE n.seal_id = b.id);
    END LOOP;
END;
$$;

COMMENT ON FUNCTION billing.verify_seals IS
'The checks of verify() that are about seals, which calls it: what is sealed is as it was, record by record, and the seals are a
chain. p_from and p_to as verify: usage records of the months of these days, as far as they were sealed since p_from; the chain,
credit and the audit log are of no day. Months that were taken out are looked at when they are back.';
