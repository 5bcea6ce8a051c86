-- rate: who asks, also within a function that runs as its owner.
CREATE OR REPLACE FUNCTION billing.acting_role()
RETURNS name
LANGUAGE sql
STABLE
PARALLEL SAFE
BEGIN ATOMIC
    SELECT COALESCE(NULLIF(current_setting('role'), 'none')::name, session_user);
END;

COMMENT ON FUNCTION billing.acting_role IS
'The role that SET ROLE chose, else the one that logged in: who asks, whatever current_user is within SECURITY DEFINER.';
