-- rate: why a quantity has no price, in words.
CREATE OR REPLACE FUNCTION billing.problem_reason(p_problem text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE p_problem
        WHEN 'UB001' THEN 'no rate in force for this channel, resource, destination and currency'
        WHEN 'UB002' THEN 'unknown tenant'
        WHEN 'UB006' THEN 'the records of its month were detached'
        WHEN 'UB011' THEN 'the row has no id, by which it would be found again'
        WHEN 'UB003' THEN 'quantity is missing, negative, not finite or absurdly large'
    END;
$$;

COMMENT ON FUNCTION billing.problem_reason IS
'The words for priced_usage.problem, without personal data; NULL for NULL.';
