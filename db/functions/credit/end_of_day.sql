-- credit: the last instant of a tenant's day.
CREATE OR REPLACE FUNCTION billing.end_of_day(p_tenant_id bigint, p_day date)
RETURNS timestamptz
LANGUAGE sql
STABLE
AS $$
    SELECT billing.start_of_day(p_day + 1, t.timezone) - interval '1 microsecond'
    FROM billing.require_tenant(p_tenant_id) AS t;
$$;

COMMENT ON FUNCTION billing.end_of_day IS
'The last instant of p_day in the zone of p_tenant_id: the balance of a day is the balance as of it. Raises UB002.';
