-- rate: what to do about a quantity that has no price.
CREATE OR REPLACE FUNCTION billing.problem_hint(p_problem text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE p_problem
        WHEN 'UB001' THEN 'Add a row to billing.pricing_rates that was in force at that time.'
        WHEN 'UB002' THEN 'Insert the tenant into tenants first, or correct tenant_id.'
        WHEN 'UB006' THEN 'Attach the month again with billing.attach_month, then run billing.retry_unrated().'
        WHEN 'UB011' THEN 'Give each row an id; it is billed by it then. Close the entry with billing.dismiss_unrated.'
        WHEN 'UB003' THEN 'Correct the quantity: a finite number, not negative.'
    END;
$$;

COMMENT ON FUNCTION billing.problem_hint IS 'What to do about priced_usage.problem; NULL for NULL.';
