-- operate: drops the table of a detached month, in constant time.
CREATE OR REPLACE FUNCTION billing.drop_month(p_month date, p_manifest jsonb DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_month date := billing.month_of(p_month);
    v_detached billing.detached_months;
BEGIN
    PERFORM billing.refuse_loading(p_month);
    SELECT * INTO v_detached FROM billing.detached_months WHERE month = v_month FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'month is not detached'
            USING ERRCODE = 'UB012',
                DETAIL = format('The month %s does not stand in billing.detached_months.', to_char(v_month, 'YYYY-MM')),
                HINT = 'billing.detach_month takes it out of usage_records first.';
    ELSIF v_detached.dropped_at IS NOT NULL THEN
        -- Twice is once, but by another file it would be something else.
        IF p_manifest IS NULL OR EXISTS (
            SELECT
            FROM billing.archives AS a
            WHERE a.month = v_month
                AND a.sha256 = p_manifest ->> 'sha256'
                AND a.restored_at IS NULL
        ) THEN
            RETURN;
        END IF;
        RAISE EXCEPTION 'month was dropped before'
            USING ERRCODE = 'UB019',
                DETAIL = billing.describe_detached(v_month),
                HINT = 'Keep that file, not this one.';
    ELSIF (p_manifest ->> 'detached_at')::timestamptz <> v_detached.detached_at THEN
        -- Attached in between, it may have been written to; or somebody was forgotten.
        RAISE EXCEPTION 'month is not as it was archived'
            USING ERRCODE = 'UB019',
                DETAIL = format('The month %s was attached and detached again, or somebody was forgotten in it.', to_char(v_month, 'YYYY-MM')),
                HINT = 'Archive it once more.';
    END IF;

    EXECUTE format('DROP TABLE billing.%I', v_detached.table_name);
    UPDATE billing.detached_months SET dropped_at = clock_timestamp() WHERE month = v_month;
    IF p_manifest IS NOT NULL THEN
        INSERT INTO billing.archives (month, sha256, manifest)
        VALUES (v_month, p_manifest ->> 'sha256', p_manifest)
        ON CONFLICT (month, sha256) DO UPDATE
        SET manifest = EXCLUDED.manifest, archived_at = EXCLUDED.archived_at, restored_at = NULL;
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.drop_month IS
'Drops the table of detached month p_month. Daily sums stay, and so does what detach_month says of usage of that month.
p_manifest: what irisx-usage archive wrote beside the file that holds its records, by which restore knows it again; NULL:
they are gone for good. Twice is once. Raises UB012, UB019 (the month is not as it was archived).';
