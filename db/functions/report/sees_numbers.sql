-- report: whether who asks may see whose numbers they are.
CREATE OR REPLACE FUNCTION billing.sees_numbers()
RETURNS boolean
LANGUAGE sql
STABLE
-- Resolved when it is made: no search_path of a caller's puts another operator in place of these.
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = 'billing_numbers' AND pg_has_role(current_user, r.oid, 'USAGE')
    );
END;

COMMENT ON FUNCTION billing.sees_numbers IS
'Whether current_user has the rights of role billing_numbers. Where there is no such role nobody has.';
