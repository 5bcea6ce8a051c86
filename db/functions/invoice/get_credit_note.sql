-- invoice: one credit note.
CREATE OR REPLACE FUNCTION billing.get_credit_note(p_credit_note_id bigint)
RETURNS SETOF billing.credit_notes
LANGUAGE sql
STABLE
AS $$
    SELECT *
    FROM billing.credit_notes
    WHERE id = p_credit_note_id;
$$;

COMMENT ON FUNCTION billing.get_credit_note IS 'The credit note p_credit_note_id; no row when there is none.';
