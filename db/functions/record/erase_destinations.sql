-- record: takes whom usage went to out of a part of a month.
CREATE OR REPLACE FUNCTION billing.erase_destinations(p_table regclass, p_from bigint, p_until bigint)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_changed bigint;
BEGIN
    PERFORM set_config('billing.forgets', 'on', true);
    EXECUTE format(
        $query$
        UPDATE %s AS t
        SET
            -- The prefix that the price was found by, and never the last four digits.
            destination = CASE WHEN strpos(t.destination, '***') > 0 THEN t.destination
                ELSE left(t.destination, LEAST(length(p.prefix), GREATEST(length(t.destination) - 4, 0))) || '***' END,
            metadata = '{}'
        FROM billing.pricing_rates AS p
        WHERE p.id = t.rate_id
            AND t.ctid >= %L::tid
            AND t.ctid < %L::tid
            AND (t.metadata <> '{}' OR strpos(t.destination, '***') = 0)
        $query$,
        p_table, format('(%s,0)', p_from), format('(%s,0)', p_until)
    );
    GET DIAGNOSTICS v_changed = ROW_COUNT;
    PERFORM set_config('billing.forgets', 'off', true);
    RETURN v_changed;
END;
$$;

COMMENT ON FUNCTION billing.erase_destinations IS
'In blocks p_from to p_until (not included) of p_table, a partition of usage_records: leaves of destination the prefix of its price
and ***, and {} of metadata; how many records were changed. No figure changes, and no pseudonym is made.';
