-- report: how seconds become billed seconds, in words.
CREATE OR REPLACE FUNCTION billing.describe_increments(p_seconds numeric, p_initial_increment numeric, p_increment numeric)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN i.least = 0 AND i.step = 0 THEN format('none: %s s are billed as measured', i.seconds)
        WHEN i.least <= 1 AND i.step = 1 AND i.billed = i.seconds THEN format('by the second (%s/%s): %s s', i.least, i.step, i.seconds)
        WHEN i.seconds <= i.least THEN format('%s/%s: %s s are billed as %s s, the least', i.least, i.step, i.seconds, i.billed)
        WHEN i.step = 0 THEN format('%s/%s: %s s are billed as measured, being more than the least', i.least, i.step, i.seconds)
        ELSE format(
            '%s/%s: %s s are billed as %s%s x %s = %s s',
            i.least, i.step, i.seconds, CASE WHEN i.least > 0 THEN i.least || ' + ' END,
            div(i.billed - i.least, i.step), i.step, i.billed
        )
    END
    FROM (
        SELECT
            trim_scale(p_seconds), trim_scale(p_initial_increment), trim_scale(p_increment),
            trim_scale(billing.bill_seconds(p_seconds, p_initial_increment, p_increment))
    ) AS i (seconds, least, step, billed);
$$;

COMMENT ON FUNCTION billing.describe_increments IS
'What bill_seconds does to p_seconds: "30/18: 40 s are billed as 30 + 1 x 18 = 48 s".';
