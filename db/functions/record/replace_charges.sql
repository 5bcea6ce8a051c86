-- record: takes back the charges that a re-rating changes, and writes what takes their place.
CREATE OR REPLACE FUNCTION billing.replace_charges(p_proposal_id bigint)
RETURNS bigint
LANGUAGE plpgsql
-- How many charges still stand is not known when this is planned, and nested loops over them would be quadratic. Each
-- charge itself is found by its key (LATERAL, LIMIT 1), however many records there are.
SET enable_nestloop = off
-- What is left of them counts as so costly that the plan would be compiled, for a second.
SET jit = off
AS $$
DECLARE
    v_metered billing.metered_tables;
    v_keyed record;
    v_ids bigint[];
    v_replaced bigint;
BEGIN
    -- As record_rows: we wait for whoever is changing a row, and he for us; then either sees the other's records.
    FOR v_metered IN SELECT * FROM billing.metered_tables AS t ORDER BY t.source_table LOOP
        CONTINUE WHEN NOT billing.is_readable(v_metered.source_table);
        SELECT COALESCE(array_agg(DISTINCT c.source_id), '{}')
        INTO v_ids
        FROM billing.rerating_differences AS d
        CROSS JOIN LATERAL (
            SELECT r.source_id
            FROM billing.usage_records AS r
            WHERE r.tenant_id = d.tenant_id
                AND r.created_at = d.record_created_at
                AND r.id = d.record_id
                AND r.usage_date = d.usage_date
                AND r.source_table = v_metered.source_table
            LIMIT 1
        ) AS c
        WHERE d.proposal_id = p_proposal_id
            AND d.problem IS NULL;
        -- A row may be about to take over what was recorded by hand for its resource.
        SELECT * INTO v_keyed FROM billing.list_keyed_tables() AS k WHERE k.source_table = v_metered.source_table;
        IF FOUND THEN
            EXECUTE format(
                'SELECT $1 || ARRAY(
                    SELECT s.id::bigint
                    FROM billing.direct_usage AS h
                    INNER JOIN billing.rerating_differences AS d ON d.tenant_id = h.tenant_id AND d.record_id = h.record_id
                    CROSS JOIN LATERAL (
                        SELECT x.id FROM %1$s AS x WHERE %3$s AND x.%2$s::text = h.resource_id
                        UNION ALL
                        SELECT x.id
                        FROM %1$s AS x
                        WHERE %3$s
                            AND x.%2$s IS NULL
                            AND x.id = CASE WHEN h.resource_id ~ ''^[0-9]{1,18}$'' THEN h.resource_id::bigint END
                    ) AS s
                    WHERE d.proposal_id = $2
                        AND d.problem IS NULL
                )',
                v_keyed.source, v_keyed.resource, CASE WHEN v_keyed.has_tenant THEN 'x.tenant_id = h.tenant_id' ELSE 'true' END
            ) INTO v_ids USING v_ids, p_proposal_id;
        END IF;
        EXECUTE format(
            'SELECT count(*) FROM (
                SELECT FROM %s AS s WHERE s.id = ANY ($1) ORDER BY s.id FOR NO KEY UPDATE
            ) AS locked',
            billing.qualify_source(v_metered.source_table)
        ) USING v_ids;
    END LOOP;
    PERFORM
    FROM billing.direct_usage AS h
    INNER JOIN billing.rerating_differences AS d
        ON d.proposal_id = p_proposal_id
        AND d.tenant_id = h.tenant_id
        AND d.record_id = h.record_id
    ORDER BY h.tenant_id, h.channel, h.resource_type, h.resource_id
    FOR UPDATE OF h;

    WITH standing AS MATERIALIZED (
        SELECT
            s.r, d.new_rate_id, d.new_unit_cost, d.new_billed_quantity, d.new_cost,
            nextval('billing.usage_records_id_seq') AS reversal_id, nextval('billing.usage_records_id_seq') AS charge_id
        FROM billing.rerating_differences AS d
        CROSS JOIN LATERAL (
            SELECT r
            FROM billing.usage_records AS r
            WHERE r.tenant_id = d.tenant_id
                AND r.created_at = d.record_created_at
                AND r.id = d.record_id
                AND r.usage_date = d.usage_date
                AND CASE WHEN r.source_id IS NULL THEN EXISTS (
                    SELECT
                    FROM billing.direct_usage AS h
                    WHERE h.tenant_id = r.tenant_id
                        AND h.channel = r.channel
                        AND h.resource_type = r.resource_type
                        AND h.resource_id = r.resource_id
                        AND h.record_id = r.id
                        AND h.reversed_at IS NULL
                ) ELSE NOT EXISTS (
                    SELECT
                    FROM billing.usage_records AS x
                    WHERE x.source_id = r.source_id
                        AND x.source_table = r.source_table
                        AND x.part = r.part
                        AND x.usage_date = r.usage_date
                        AND x.revision = r.revision + 1
                        AND x.tenant_id = r.tenant_id
                ) END
            LIMIT 1
        ) AS s
        WHERE d.proposal_id = p_proposal_id
            AND d.problem IS NULL
            AND d.new_record_id IS NULL
    ),
    reversed AS (
        INSERT INTO billing.usage_records (
            id, tenant_id, source_id, rate_id, occurred_at, usage_date, revision, part, kind, source_table, channel,
            resource_type, resource_id, quantity, unit_cost, total_cost, currency, seconds, billed_quantity, destination,
            metadata
        )
        SELECT
            s.reversal_id, (r).tenant_id, (r).source_id, (r).rate_id, (r).occurred_at, (r).usage_date, (r).revision + 1,
            (r).part, 'reversal', (r).source_table, (r).channel, (r).resource_type, (r).resource_id, -(r).quantity,
            (r).unit_cost, -(r).total_cost, (r).currency, -(r).seconds, -(r).billed_quantity, (r).destination, (r).metadata
        FROM standing AS s
        -- Whoever corrected a row that is gone by now (there was nothing to lock) came first.
        ON CONFLICT ON CONSTRAINT usage_records_once DO NOTHING
        RETURNING id, tenant_id, usage_date, channel, resource_type, rate_id, quantity, billed_quantity, total_cost
    ),
    charged AS (
        INSERT INTO billing.usage_records (
            id, tenant_id, source_id, rate_id, occurred_at, usage_date, revision, part, kind, source_table, channel,
            resource_type, resource_id, quantity, unit_cost, total_cost, currency, seconds, billed_quantity, destination,
            metadata
        )
        SELECT
            s.charge_id, (r).tenant_id, (r).source_id, s.new_rate_id, (r).occurred_at, (r).usage_date, (r).revision + 2,
            (r).part, 'charge', (r).source_table, (r).channel, (r).resource_type, (r).resource_id, (r).quantity,
            s.new_unit_cost, s.new_cost, (r).currency, (r).seconds, s.new_billed_quantity, (r).destination, (r).metadata
        FROM standing AS s
        INNER JOIN reversed AS b ON b.id = s.reversal_id
        RETURNING
            id, created_at, tenant_id, source_id, usage_date, channel, resource_type, resource_id, rate_id, quantity,
            billed_quantity, total_cost
    ),
    summed AS (
        INSERT INTO billing.usage_deltas (
            tenant_id, summary_date, record_count, channel, resource_type, rate_id, total_quantity, billed, total_cost
        )
        SELECT
            w.tenant_id, w.usage_date, sum(w.sign), w.channel, w.resource_type, COALESCE(p.id, 0), sum(w.quantity),
            sum(billing.in_seconds(w.resource_type, w.billed_quantity)), sum(w.total_cost)
        FROM (
            SELECT tenant_id, usage_date, channel, resource_type, rate_id, quantity, billed_quantity, total_cost, -1 AS sign
            FROM reversed
            UNION ALL
            SELECT tenant_id, usage_date, channel, resource_type, rate_id, quantity, billed_quantity, total_cost, 1
            FROM charged
        ) AS w
        LEFT JOIN billing.pricing_rates AS p
            ON p.id = w.rate_id
            AND billing.is_period_priced(p.charge_model)
        GROUP BY w.tenant_id, w.usage_date, w.channel, w.resource_type, p.id
    ),
    moved AS (
        UPDATE billing.direct_usage AS h
        SET record_id = c.id, created_at = c.created_at
        FROM charged AS c
        WHERE c.source_id IS NULL
            AND h.tenant_id = c.tenant_id
            AND h.channel = c.channel
            AND h.resource_type = c.resource_type
            AND h.resource_id = c.resource_id
    ),
    noted AS (
        UPDATE billing.rerating_differences AS d
        SET new_record_id = c.id
        FROM charged AS c
        INNER JOIN standing AS s ON s.charge_id = c.id
        WHERE d.proposal_id = p_proposal_id
            AND d.tenant_id = c.tenant_id
            AND d.record_id = (s.r).id
    )
    SELECT count(*) INTO v_replaced FROM charged;
    RETURN v_replaced;
END;
$$;

COMMENT ON FUNCTION billing.replace_charges IS
'For each difference of proposal p_proposal_id that has a new price and whose charge still stands: a reversal, a new
charge in the same chain (the row''s, or that of the resource recorded by hand) and new_record_id; how many. Charges
corrected or reversed since are passed over. Locks the source rows until the end of the transaction. The caller holds the
proposal''s lock.';
