-- record: deserved minus recorded, for one row. Everything that is not a first charge comes through here.
CREATE OR REPLACE FUNCTION billing.record_difference(
    p_source_table text,
    p_source_id bigint,
    p_deserved billing.measurement[],
    p_before billing.measurement[] DEFAULT NULL
)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_open billing.usage_records[];
    v_outlived billing.usage_records[];
    v_kept bigint[] := '{}'::bigint[];
    v_aside smallint[] := '{}'::smallint[];
    v_written billing.usage_records[] := '{}'::billing.usage_records[];
    v_deserved billing.measurement;
    v_found billing.usage_records;
    v_record billing.usage_records;
    v_priced billing.priced_usage;
    v_same_terms boolean;
    v_same_resource boolean;
    v_was_aside boolean := EXISTS (
        SELECT
        FROM billing.unrated_usage AS u
        WHERE u.source_table = p_source_table
            AND u.source_id = p_source_id
            AND u.resolved_at IS NULL
    );
    v_occurred_at timestamptz;
    v_month date;
BEGIN
    -- Without the records of its month nobody can say what a row has been billed for.
    SELECT d.month, touched.tenant_id
    INTO v_month, v_found.tenant_id
    FROM (
        SELECT
            m.tenant_id,
            -- A time beyond all calendars is in no month, and cannot be placed in a zone.
            CASE WHEN m.occurred_at BETWEEN '0001-01-02' AND '9999-12-30' THEN
                date_trunc('month', m.occurred_at AT TIME ZONE billing.zone_of(m.tenant_id, m.occurred_at))::date
            END AS month
        FROM unnest(p_before || p_deserved) AS m
        UNION ALL
        SELECT u.tenant_id, (u.context ->> 'month')::date
        FROM billing.unrated_usage AS u
        WHERE u.source_table = p_source_table
            AND u.source_id = p_source_id
            AND u.resolved_at IS NULL
        UNION ALL
        -- What had no time of its own was billed for when it was recorded, which may be then where it is not found now.
        SELECT m.tenant_id, g.month
        FROM unnest(COALESCE(p_before, p_deserved)) AS m
        INNER JOIN billing.find_detached_ids(p_source_table) AS g ON g.ids @> m.source_id::numeric
        WHERE m.occurred_at IS NULL
            AND NOT billing.is_recorded(p_source_table, ARRAY[m.source_id])
    ) AS touched
    INNER JOIN billing.detached_months AS d USING (month)
    LIMIT 1;
    IF FOUND THEN
        -- A number that is forgotten in the row changes nothing of what it is worth.
        IF EXISTS (SELECT FROM unnest(p_deserved) AS d WHERE strpos(d.destination, '***') > 0)
            AND NOT EXISTS (
                SELECT
                FROM unnest(p_before) AS b
                FULL JOIN unnest(p_deserved) AS d USING (part)
                WHERE NOT billing.is_same_destination(d.destination, b.destination)
                    OR (d.tenant_id, d.channel, d.resource_type, d.quantity, d.occurred_at)
                        IS DISTINCT FROM (b.tenant_id, b.channel, b.resource_type, b.quantity, b.occurred_at)
            )
        THEN
            RETURN 0;
        END IF;
        PERFORM billing.set_aside(
            p_source_table, p_source_id, NULL::smallint, v_found.tenant_id,
            'UB006', billing.problem_reason('UB006'), jsonb_build_object('month', v_month)
        );
        RETURN 0;
    END IF;

    v_open := billing.find_open_charges(p_source_table, p_source_id, p_deserved || p_before);

    -- A snapshot older than a recording that did not touch the row (record_call_usage, backfill) does not see it.
    -- Writing down first what the row was worth before makes the two meet in usage_records_once.
    IF cardinality(v_open) = 0 AND cardinality(p_before) > 0
        AND current_setting('transaction_isolation') <> 'read committed'
    THEN
        PERFORM billing.record_difference(p_source_table, p_source_id, p_before);
        v_open := billing.find_open_charges(p_source_table, p_source_id, p_deserved || p_before);
        PERFORM billing.claim_resource(
            p_source_table, p_source_id, o.part, o.tenant_id, o.channel, o.resource_type, o.resource_id, o.usage_date
        )
        FROM unnest(v_open) AS o
        WHERE o.source_id IS NOT NULL;
    END IF;

    -- Not this row's: its id was another's, which is gone. What is billed for that one stays, by its resource. A row that
    -- deserved nothing until now has no charge of its own; where that is not known, another charge that is tells.
    v_outlived := ARRAY(
        SELECT o
        FROM unnest(v_open) AS o
        WHERE o.source_id IS NOT NULL
            AND o.resource_id <> p_source_id::text
            AND o.resource_id <> ALL (ARRAY(SELECT m.resource_id FROM unnest(p_deserved) AS m))
            AND EXISTS (
                SELECT
                FROM unnest(p_deserved) AS m
                WHERE m.part = o.part
                    AND m.resource_id <> p_source_id::text
                    AND (cardinality(p_before) = 0 OR EXISTS (
                        SELECT
                        FROM unnest(v_open) AS x
                        WHERE x.source_id IS NOT NULL
                            AND x.part = m.part
                            AND x.resource_id = m.resource_id
                    ))
            )
    );
    IF cardinality(v_outlived) > 0 THEN
        v_open := ARRAY(
            SELECT o FROM unnest(v_open) AS o WHERE o.id <> ALL (ARRAY(SELECT x.id FROM unnest(v_outlived) AS x))
        );
    END IF;

    FOREACH v_deserved IN ARRAY COALESCE(p_deserved, '{}') LOOP
        -- The charge that stands for this now: the row's own, else one recorded by hand for its resource.
        SELECT o.*
        INTO v_found
        FROM unnest(v_open) AS o
        WHERE o.tenant_id = v_deserved.tenant_id
            AND o.channel = v_deserved.channel
            AND o.resource_type = v_deserved.resource_type
            AND (o.part = v_deserved.part OR o.source_id IS NULL)
        ORDER BY o.source_id IS NULL, o.occurred_at = v_deserved.occurred_at DESC, o.id
        LIMIT 1;

        v_same_terms := v_found.source_id IS NOT NULL
            AND billing.is_same_destination(v_found.destination, v_deserved.destination)
            -- Its time may have moved to another day with triggers off.
            AND v_found.usage_date = billing.day_in_zone(
                COALESCE(v_deserved.occurred_at, v_found.occurred_at),
                billing.zone_of(v_deserved.tenant_id, COALESCE(v_deserved.occurred_at, v_found.occurred_at))
            )
            AND (
                COALESCE(v_deserved.occurred_at, v_found.occurred_at) = v_found.occurred_at
                -- This statement changed neither, whatever small change of time was let stand before. (What was set aside
                -- before was not: what stands is of a time before that.)
                OR NOT v_was_aside AND EXISTS (
                    SELECT
                    FROM unnest(p_before) AS b
                    WHERE b.part = v_deserved.part
                        AND b.tenant_id = v_deserved.tenant_id
                        AND b.occurred_at = v_deserved.occurred_at
                        AND billing.is_same_destination(b.destination, v_deserved.destination)
                )
            );

        -- With another resource the row is charged anew, so that whoever gets its id is told from it. (One that had none so
        -- far, or has none now, is found by its id.)
        v_same_resource := v_found.resource_id IN (v_deserved.resource_id, p_source_id::text)
            OR v_deserved.resource_id = p_source_id::text
            OR NOT EXISTS (
                SELECT
                FROM unnest(p_before) AS b
                WHERE b.part = v_deserved.part
                    AND b.resource_id <> v_deserved.resource_id
            );

        IF COALESCE(v_found.seconds, v_found.quantity) = v_deserved.quantity
            AND (v_same_terms AND v_same_resource OR (v_found.source_id IS NULL AND v_found.resource_id = v_deserved.resource_id))
        THEN
            v_kept := v_kept || v_found.id;
            CONTINUE;
        END IF;

        v_priced.problem := CASE WHEN p_source_id IS NULL THEN 'UB011'
            ELSE billing.find_problem(v_deserved.quantity, v_deserved.resource_type) END;
        v_occurred_at := COALESCE(
            v_deserved.occurred_at,
            v_found.occurred_at,
            -- What has no time of its own happened when it was first tried, not when it succeeds.
            (
                SELECT min(u.first_seen_at)
                FROM billing.unrated_usage AS u
                WHERE u.source_table = p_source_table
                    AND u.source_id = p_source_id
                    AND u.resolved_at IS NULL
            ),
            statement_timestamp()
        );
        IF v_priced.problem IS NULL AND v_same_terms THEN
            v_priced := billing.reprice_usage(
                v_found.rate_id, v_deserved.resource_type, v_deserved.quantity, v_occurred_at
            );
            v_priced.usage_date := v_found.usage_date;
        ELSIF v_priced.problem IS NULL THEN
            v_priced := billing.price_usage(
                v_deserved.tenant_id, v_deserved.channel, v_deserved.resource_type,
                v_deserved.quantity, v_deserved.destination, v_occurred_at
            );
        END IF;

        -- What cannot be priced is set aside, and what was recorded stands until it can.
        IF v_priced.problem IS NOT NULL THEN
            PERFORM billing.set_problem_aside(p_source_table, v_deserved, v_priced.problem);
            v_aside := v_aside || v_deserved.part;
            v_kept := v_kept || ARRAY(SELECT o.id FROM unnest(v_open) AS o WHERE o.part = v_deserved.part OR o.source_id IS NULL);
            CONTINUE;
        END IF;

        -- Another time of the same day at the same price is the same charge.
        IF v_found.source_id IS NOT NULL
            AND v_same_resource
            AND COALESCE(v_found.seconds, v_found.quantity) = v_deserved.quantity
            AND billing.is_same_destination(v_found.destination, v_deserved.destination)
            AND v_found.rate_id = v_priced.rate_id
            AND v_found.usage_date = v_priced.usage_date
            -- By time of day the same price may cost something else.
            AND v_found.total_cost = v_priced.total_cost
        THEN
            v_kept := v_kept || v_found.id;
            CONTINUE;
        END IF;

        v_record := NULL;
        v_record.tenant_id := v_deserved.tenant_id;
        v_record.source_table := p_source_table;
        v_record.source_id := p_source_id;
        v_record.part := v_deserved.part;
        v_record.kind := 'charge';
        v_record.rate_id := v_priced.rate_id;
        v_record.occurred_at := v_occurred_at;
        v_record.usage_date := v_priced.usage_date;
        v_record.channel := v_deserved.channel;
        v_record.resource_type := v_deserved.resource_type;
        v_record.resource_id := v_deserved.resource_id;
        v_record.quantity := v_priced.quantity;
        v_record.unit_cost := v_priced.unit_cost;
        v_record.total_cost := v_priced.total_cost;
        v_record.currency := v_priced.currency;
        v_record.seconds := CASE WHEN v_deserved.resource_type = 'minute' THEN v_deserved.quantity END;
        v_record.billed_quantity := v_priced.billed_quantity;
        -- What is forgotten does not come back by a correction.
        v_record.destination := CASE
            WHEN v_same_terms AND strpos(v_found.destination, '***') > 0 THEN v_found.destination
            ELSE v_deserved.destination
        END;
        v_record.metadata := '{}';
        -- The next odd number of its chain: the charge that stands there now, if any, is reversed below.
        v_record.revision := 1 + COALESCE((
            SELECT max(r.revision + r.revision % 2)
            FROM billing.usage_records AS r
            WHERE r.source_table = p_source_table
                AND r.source_id = p_source_id
                AND r.part = v_record.part
                AND r.usage_date = v_record.usage_date
                AND r.tenant_id = v_record.tenant_id
        ), 0);
        v_written := v_written || v_record;
    END LOOP;

    FOREACH v_record IN ARRAY v_outlived LOOP
        v_record.source_table := NULL;
        v_record.source_id := NULL;
        v_record.part := 1;
        v_record.revision := 1;
        v_written := v_written || v_record;
    END LOOP;

    FOREACH v_record IN ARRAY v_open || v_outlived LOOP
        CONTINUE WHEN v_record.id = ANY (v_kept);
        IF v_record.source_id IS NULL THEN
            UPDATE billing.direct_usage
            SET reversed_at = clock_timestamp()
            WHERE tenant_id = v_record.tenant_id
                AND channel = v_record.channel
                AND resource_type = v_record.resource_type
                AND resource_id = v_record.resource_id
                AND record_id = v_record.id;
            -- Somebody was faster: the caller looks again.
            IF NOT FOUND THEN
                RAISE unique_violation USING MESSAGE = 'what was recorded by hand was replaced meanwhile';
            END IF;
        END IF;
        v_record.kind := 'reversal';
        v_record.revision := v_record.revision + 1;
        v_record.quantity := -v_record.quantity;
        v_record.billed_quantity := -v_record.billed_quantity;
        v_record.seconds := -v_record.seconds;
        v_record.total_cost := -v_record.total_cost;
        v_written := v_record || v_written;
    END LOOP;

    IF v_was_aside THEN
        BEGIN
            UPDATE billing.unrated_usage
            SET resolved_at = clock_timestamp()
            WHERE source_table = p_source_table
                AND source_id = p_source_id
                AND resolved_at IS NULL
                AND (part = ANY (v_aside)) IS NOT TRUE;
        EXCEPTION
            WHEN serialization_failure THEN
                -- In an old snapshot: the entry was retried or announced since. The next retry finds it settled.
                NULL;
        END;
    END IF;

    IF cardinality(v_written) = 0 THEN
        RETURN 0;
    END IF;
    -- Numbered in the order of reading: first what is taken back, then what takes its place.
    FOR v_i IN 1 .. cardinality(v_written) LOOP
        v_written[v_i].id := nextval('billing.usage_records_id_seq');
        v_written[v_i].created_at := clock_timestamp();
        v_written[v_i].xact := pg_current_xact_id();
        IF v_written[v_i].source_id IS NULL AND v_written[v_i].kind = 'charge' THEN
            PERFORM billing.keep_by_resource(v_written[v_i]);
        END IF;
    END LOOP;
    RETURN billing.write_records(v_written);
END;
$$;

COMMENT ON FUNCTION billing.record_difference IS
'Brings what is recorded for one row to p_deserved (empty: nothing): keeps what still holds, reverses what does not,
charges what is missing; how many records were written. A corrected quantity keeps its recorded rate; a corrected
destination, time or tenant is priced anew. p_before: what the row deserved before this statement (empty: nothing); NULL:
not known. A charge of another row, which had the id before and is gone, becomes one of its resource (direct_usage).
Twice is once. The caller holds the row''s lock.';
