-- operate: takes up the forgetting of a number where it was left.
CREATE OR REPLACE FUNCTION billing.begin_forgetting(p_needle text, p_mode text)
RETURNS billing.forgotten_subjects
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, billing, pg_temp
AS $$
DECLARE
    v_subject billing.forgotten_subjects;
BEGIN
    -- Rows move when they are changed: two at a time would pass over each other's.
    PERFORM pg_advisory_xact_lock(hashtextextended('billing.forget_subject', 0));
    INSERT INTO billing.privacy_key (key)
    SELECT sha256(convert_to(concat(gen_random_uuid(), gen_random_uuid(), gen_random_uuid()), 'UTF8'))
    ON CONFLICT (is_only) DO NOTHING;
    INSERT INTO billing.forgotten_subjects AS f (digest, mode, salt)
    VALUES (
        billing.digest_subject(p_needle), p_mode,
        sha256(convert_to(concat(gen_random_uuid(), gen_random_uuid(), gen_random_uuid()), 'UTF8'))
    )
    ON CONFLICT (digest) DO UPDATE
    SET
        mode = EXCLUDED.mode,
        salt = COALESCE(f.salt, EXCLUDED.salt),
        at_table = CASE WHEN f.mode = EXCLUDED.mode THEN f.at_table END,
        at_block = CASE WHEN f.mode = EXCLUDED.mode THEN f.at_block ELSE 0 END,
        changed = CASE WHEN f.forgotten_at IS NULL THEN f.changed ELSE 0 END,
        begun_at = CASE WHEN f.forgotten_at IS NULL THEN f.begun_at ELSE clock_timestamp() END,
        forgotten_at = NULL
    RETURNING f.* INTO v_subject;
    RETURN v_subject;
END;
$$;

COMMENT ON FUNCTION billing.begin_forgetting IS
'The row of forgotten_subjects for p_needle (read_subject), made where there is none. One transaction at a time.';
