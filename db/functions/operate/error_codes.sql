-- operate: every SQLSTATE of ours. pyapi.errors has an exception for each.
CREATE OR REPLACE VIEW billing.error_codes AS
SELECT sqlstate, meaning
FROM (VALUES
    ('UB001', 'no rate in force'),
    ('UB002', 'unknown tenant or plan'),
    ('UB003', 'bad quantity or amount (NULL, negative, NaN, infinite)'),
    ('UB004', 'the same resource or reference with other figures'),
    ('UB005', 'bad terms of a rate'),
    ('UB006', 'period closed, not over, or with usage that is not rated'),
    ('UB007', 'wrong state of an invoice'),
    ('UB008', 'insufficient credit'),
    ('UB009', 'malformed call detail record'),
    ('UB010', 'two rates in force at one time'),
    ('UB011', 'no such row, table or resource to record'),
    ('UB012', 'bad argument'),
    ('UB013', 'a price that has begun, or its calendar, cannot be changed'),
    ('UB014', 'an append-only table cannot be changed'),
    ('UB015', 'a reservation that has ended'),
    ('UB016', 'somebody else is reserving for this tenant'),
    ('UB018', 'an extension that this needs is not installed'),
    ('UB019', 'a month or file is not as it was archived'),
    ('UB020', 'a trigger function was called for another table than its own')
) AS codes (sqlstate, meaning);

COMMENT ON VIEW billing.error_codes IS 'The SQLSTATEs this schema raises.';
COMMENT ON COLUMN billing.error_codes.sqlstate IS 'Class UB.';
COMMENT ON COLUMN billing.error_codes.meaning IS 'What it says, in words.';
