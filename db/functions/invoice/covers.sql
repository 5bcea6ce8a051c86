-- invoice: whether a cut of usage_records has a record in it.
CREATE OR REPLACE FUNCTION billing.covers(p_cut billing.usage_cut, p_record_id bigint, p_xact xid8)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    -- A number above the last one was given later, in whichever cluster. One below it was seen when its transaction had
    -- ended by then, or was the statement's own.
    SELECT p_record_id <= (p_cut).last_record_id
        AND (p_xact IS NULL OR p_xact = (p_cut).xact OR pg_visible_in_snapshot(p_xact, (p_cut).snapshot));
$$;

COMMENT ON FUNCTION billing.covers IS
'Whether the statement that p_cut was taken in saw the record of this id and transaction: a fact that stays, also in a copy
of the database. NULL without a cut.';
