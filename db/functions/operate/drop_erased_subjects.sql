-- operate: whom no file can bring back need not be remembered.
CREATE OR REPLACE FUNCTION billing.drop_erased_subjects()
RETURNS bigint
LANGUAGE sql
AS $$
    WITH gone AS (
        DELETE FROM billing.forgotten_subjects AS f
        WHERE f.mode = 'erase'
            AND f.forgotten_at IS NOT NULL
            AND NOT EXISTS (
                SELECT
                FROM billing.archives AS a
                WHERE a.restored_at IS NULL
                    AND a.archived_at < f.forgotten_at
            )
        RETURNING 1
    )
    SELECT count(*) FROM gone;
$$;

COMMENT ON FUNCTION billing.drop_erased_subjects IS
'Takes erased subjects off forgotten_subjects that no month in a file from before can bring back; how many.';
