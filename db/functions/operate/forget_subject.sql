-- operate: takes a number or address out of everything that was recorded.
CREATE OR REPLACE FUNCTION billing.forget_subject(
    p_number text,
    p_mode text,
    p_reason text,
    p_with_sources boolean DEFAULT false,
    p_dry_run boolean DEFAULT false,
    p_blocks bigint DEFAULT 16384
)
RETURNS TABLE (table_name text, changed bigint, kept bigint, is_more boolean)
LANGUAGE plpgsql
AS $$
DECLARE
    v_read record;
    v_subject billing.forgotten_subjects;
    v_form text;
    v_place record;
    v_found record;
    v_left bigint := CASE WHEN p_dry_run THEN 9223372036854775807 ELSE GREATEST(p_blocks, 1) END;
    v_from bigint;
    v_until bigint;
BEGIN
    SELECT * INTO v_read FROM billing.read_subject(p_number);
    IF COALESCE(p_mode, '') NOT IN ('erase', 'pseudonymise') THEN
        RAISE EXCEPTION 'unknown mode'
            USING ERRCODE = 'UB012', DETAIL = 'p_mode is neither erase nor pseudonymise.', HINT = 'Choose one of the two.';
    ELSIF COALESCE(p_reason, '') = '' OR p_reason ~* v_read.pattern THEN
        RAISE EXCEPTION 'no reason given'
            USING ERRCODE = 'UB012',
                DETAIL = 'p_reason is NULL or empty, or names whom to forget.',
                HINT = 'Say why, by the number of a request perhaps: it is kept.';
    END IF;
    IF NOT p_dry_run THEN
        v_subject := billing.begin_forgetting(v_read.needle, p_mode);
        v_form := billing.forgotten_form(p_mode, v_read.needle, v_subject.salt);
    END IF;

    FOR v_place IN
        SELECT p.*
        FROM billing.list_forgettable(p_with_sources) AS p
        WHERE p.place >= COALESCE(v_subject.at_table, '')
        ORDER BY p.place
    LOOP
        v_from := CASE WHEN v_place.place = v_subject.at_table THEN v_subject.at_block ELSE 0 END;
        v_until := v_from + LEAST(v_left, GREATEST(v_place.blocks - v_from, 0));
        IF v_place.source_table IS NULL THEN
            SELECT * INTO v_found
            FROM billing.forget_in_table(
                v_place.relation, v_place.described, v_read.needle, v_read.pattern, v_form, v_subject.salt, v_from, v_until, p_dry_run
            );
        ELSE
            SELECT * INTO v_found
            FROM billing.forget_in_source(
                v_place.relation, v_place.source_table, v_read.needle, v_read.pattern, v_form, v_subject.salt, v_from, v_until, p_dry_run
            );
        END IF;
        v_left := v_left - (v_until - v_from);
        is_more := v_until < v_place.blocks;
        IF v_found.changed > 0 OR v_found.kept > 0 OR is_more THEN
            table_name := v_place.relation::text;
            changed := v_found.changed;
            kept := v_found.kept;
            RETURN NEXT;
        END IF;
        IF NOT p_dry_run THEN
            PERFORM billing.save_forgetting(v_subject.digest, v_found.changed, v_place.place, v_until, p_reason);
            IF is_more THEN
                RETURN;
            END IF;
        END IF;
    END LOOP;

    -- What is in files stays there until they are restored and archived anew.
    is_more := false;
    FOR table_name, changed, kept IN
        SELECT a.manifest ->> 'file', 0, NULL
        FROM billing.archives AS a
        WHERE a.restored_at IS NULL
        ORDER BY a.month
    LOOP
        RETURN NEXT;
    END LOOP;
    IF NOT p_dry_run THEN
        PERFORM billing.save_forgetting(v_subject.digest, 0, NULL, 0, p_reason);
    END IF;
END;
$$;

COMMENT ON FUNCTION billing.forget_subject IS
'Takes p_number (E.164 with or without +, or an email address) out of records, reservations and what was set aside, detached months
included, and p_with_sources out of the metered tables of the application, with the bodies of its messages. p_mode erase: of a
number known_prefix and *** is left; pseudonymise: and 16 digits that are the same for the same number each time. No figure, day
or price changes, so neither do sums and invoices; what was forgotten stays rated and is not billed anew. At most p_blocks blocks
of tables are looked at: call it again, committed in between, while is_more. Twice is once, and finds what came since.
p_dry_run: counts all, changes nothing. Per table changed rows, and kept: keys that rows of the application still have, or
rows that would be worth something else, or that somebody was just changing. A file of an archived month is listed with kept NULL. p_reason goes to the audit log,
the number does not. Raises UB012.';
