-- Where personal data lie is known, and what analysts see of them is masked.
BEGIN;
SELECT plan(26);
\ir fixtures/tenants.sql

-- Every column that can hold a text, read from the catalog; domains by what they are made of.
CREATE TEMPORARY VIEW texts AS
SELECT c.relname::text AS table_name, a.attname::text AS column_name
FROM pg_class AS c
INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
INNER JOIN pg_type AS t ON t.oid = a.atttypid
WHERE c.relnamespace = 'billing'::regnamespace
    AND c.relkind IN ('r', 'p')
    AND NOT c.relispartition
    -- A name is made of letters, as a list is of its elements.
    AND COALESCE(NULLIF(t.typbasetype, 0), NULLIF(NULLIF(t.typelem, 0), '"char"'::regtype), t.oid)
        IN ('text'::regtype, 'name'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'json'::regtype, 'jsonb'::regtype, 'bytea'::regtype, 'xml'::regtype);
SELECT cmp_ok((SELECT count(*) FROM texts), '>', 100::bigint, 'there are columns that can hold texts');
SELECT is_empty(
    'SELECT * FROM texts EXCEPT SELECT table_name, column_name FROM personal_data',
    'each is on the list of personal data: enter a new one in db/functions/record/personal_data.sql');
SELECT is_empty(
    'SELECT table_name, column_name FROM personal_data EXCEPT SELECT * FROM texts', 'and nothing else is');
SELECT is_empty(
    'SELECT table_name, column_name FROM personal_data GROUP BY 1, 2 HAVING count(*) > 1', 'no column twice');
SELECT set_eq('SELECT DISTINCT holds FROM personal_data', '{number,customer,operator,secret,none}'::text[], 'by what they hold');
SELECT is_empty(
    $$SELECT * FROM personal_data WHERE on_forget IS NOT NULL AND holds <> 'number'$$, 'only numbers are forgotten');
SELECT is_empty(
    $$SELECT * FROM personal_data WHERE on_forget IS NULL AND holds = 'number'$$, 'and all that are');

-- Masks.
SELECT is(mask_number(number), masked, format('%L is shown as %L', number, masked))
FROM (VALUES
    ('+442071234567', '+44207***'), ('1 (415) 555-2671', '1415***'), ('112', '***'), ('bob@example.org', '***@example.org'),
    ('Bob <bob@example.org>', '***@example.org'), ('alice', '***'), ('44207***0123456789abcdef', '44207***'), (NULL, NULL)
) AS m (number, masked);
SELECT is(
    mask_texts('{"to": "+44207", "n": 442071234567, "ok": true, "leg": 2, "442071234567": [null, {"name": "Bob"}]}'),
    '{"to": "***", "n": "***", "ok": true, "leg": 2, "***": [null, {"name": "***"}]}', 'of metadata the shape is shown');
SELECT is(mask_key('CA12345678901234ff/+442071234567'), 'CA12345678901234ff/***', 'and of keys what is no number');

SELECT record_usage(
    7, 'voice', 'minute', '+442071234567', 2, '{"to": "+442071234567", "note": "for Bob"}', '2025-11-14 10:00:00+00'
);
SELECT is(
    (SELECT (resource_id, destination, metadata, quantity, total_cost)::text FROM usage_details),
    '(***,44207***,"{""to"": ""***"", ""note"": ""***""}",2,0.0300000000)', 'usage_details shows all figures and no number');
SELECT is(sees_numbers(), false, 'for nobody has role billing_numbers where there is none');
SELECT is(
    (SELECT count(*) FROM find_subject('+44 20 7123 4567')), 2::bigint, 'what is stored about a number is found');

-- A month from which the numbers were taken, and what is corrected in it.
INSERT INTO pricing_rates (channel, resource_type, prefix, unit_price, effective_from) VALUES ('voice', 'minute', '44', 0.5, '2025-01-01');
INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)
VALUES
    (1, 7, '+442071234567', 'completed', '2025-11-14 10:00:00+00', 120), (2, 7, '+15559876543', 'completed', '2025-11-14 10:00:00+00', 120),
    (3, 7, '+442071234567', 'completed', '2025-11-14 10:00:00+00', 120);
CREATE FUNCTION pg_temp.charged(p_id bigint) RETURNS text
LANGUAGE sql AS $$
    SELECT concat_ws(' ', trim_scale(seconds), destination, metadata) FROM usage_records
    WHERE source_table = 'calls' AND source_id = p_id ORDER BY id DESC LIMIT 1
$$;
SELECT is(erase_destinations('usage_records_default', 0, 1000), 4::bigint, 'numbers and texts are taken out of a month');
SELECT is(pg_temp.charged(1) || pg_temp.charged(2), '120 44*** {}120 *** {}', 'what its price was found by is left');
UPDATE calls SET duration_seconds = 2 WHERE id IN (1, 2);
SELECT is(pg_temp.charged(1), '2 44*** {}', 'a correction brings no number back');
SELECT is(pg_temp.charged(2), '2 *** {}', 'whatever is left of it');
UPDATE calls SET to_number = '+447712345678' WHERE id = 3;
SELECT is(pg_temp.charged(3), '120 44*** {}', 'a number that may be the same changes nothing');
UPDATE calls SET to_number = '+14155550100' WHERE id = 3;
SELECT is(pg_temp.charged(3), '120 14155550100 {}', 'another is written down');

SELECT * FROM finish();
ROLLBACK;
