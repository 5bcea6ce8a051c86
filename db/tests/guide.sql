-- Every SQL statement of the usage tracking guide runs as it is printed there.
BEGIN;
SELECT plan(16);
\ir fixtures/tenants.sql
\ir fixtures/story.sql

-- Integration, method 3: database triggers. The guide's own trigger, beside ours.
-- Example trigger for calls
CREATE OR REPLACE FUNCTION record_call_usage_trigger()
RETURNS TRIGGER AS $$
BEGIN
  IF NEW.status = 'completed' AND OLD.status != 'completed' AND NEW.duration_seconds > 0 THEN
    -- Call usage recording function
    PERFORM record_call_usage(NEW.id, NEW.tenant_id, NEW.call_sid, NEW.duration_seconds);
  END IF;
  RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER after_call_complete
AFTER UPDATE ON calls
FOR EACH ROW
EXECUTE FUNCTION record_call_usage_trigger();

SELECT has_trigger('public', 'calls', 'after_call_complete', 'the guide''s trigger can be made');

INSERT INTO calls (id, tenant_id, call_sid, from_number, to_number, status)
SELECT n, 7, 'CA' || n, '+15551234567', '+15559876543', 'in-progress'
FROM generate_series(1, 20) AS n;
UPDATE calls SET status = 'completed', ended_at = NOW(), duration_seconds = 315 WHERE call_sid = 'CA1';
SELECT is(pg_temp.story('calls', 1), 'charge 0.07875', 'with both triggers a call is billed once');
UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id > 1;
SELECT is(
    (SELECT count(*) FILTER (WHERE pg_temp.story('calls', n) = 'charge 0.015') FROM generate_series(2, 20) AS n), 19::bigint,
    'so are many that complete in one statement');
UPDATE calls SET duration_seconds = 120 WHERE id = 2;
SELECT is(pg_temp.net('calls', 2), 0.03, 'a corrected duration is billed anew');
UPDATE calls SET status = 'failed' WHERE id = 3;
UPDATE calls SET status = 'completed' WHERE id = 3;
SELECT is(pg_temp.net('calls', 3), 0.015, 'a status that flaps is billed once in the end');
INSERT INTO calls (id, tenant_id, call_sid, status, duration_seconds) VALUES (21, 7, 'CA21', 'completed', 60);
SELECT is(pg_temp.story('calls', 21), 'charge 0.015', 'a call inserted as completed, which the guide''s trigger misses, is billed');
INSERT INTO calls (id, tenant_id, call_sid, status) VALUES (22, 7, 'CA22', 'completed');
UPDATE calls SET duration_seconds = 60 WHERE id = 22;
SELECT is(pg_temp.story('calls', 22), 'charge 0.015', 'so is a duration that comes late');
UPDATE calls SET status = 'failed' WHERE id BETWEEN 2 AND 22;

-- What the guide's recordUsage examples record.
SELECT isnt(record_usage(7, 'voice', 'minute', 'CA_TEST_123', 2.5, '{"test": true}'), NULL, 'usage of a call can be recorded for a test');
SELECT isnt(record_usage(7, 'sms', 'message', 'SM_TEST_456', 1, '{"test": true}'), NULL, 'usage of a message as well');

-- Monitoring. PREPARE stands before the guide's text, which is otherwise as printed.
PREPARE recent_usage AS
-- Recent usage records
SELECT
  channel,
  resource_type,
  quantity,
  unit_cost,
  total_cost,
  created_at
FROM usage_records
WHERE tenant_id = 7
ORDER BY created_at DESC
LIMIT 20;

SELECT lives_ok('recent_usage', 'recent usage records can be listed');
CREATE TEMPORARY TABLE recent AS EXECUTE recent_usage;
SELECT is((SELECT count(*) FROM recent), 20::bigint, 'the newest 20');
SELECT is(
    (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'recent'::regclass AND attnum > 0),
    '{channel,resource_type,quantity,unit_cost,total_cost,created_at}', 'with the columns of the guide');

PREPARE daily_summaries AS
-- Daily summaries
SELECT
  summary_date,
  channel,
  resource_type,
  total_quantity,
  total_cost,
  record_count
FROM usage_summaries
WHERE tenant_id = 7
  AND summary_date >= CURRENT_DATE - INTERVAL '7 days'
ORDER BY summary_date DESC, channel;

CREATE TEMPORARY TABLE daily AS EXECUTE daily_summaries;
SELECT results_eq(
    'SELECT channel, resource_type, trim_scale(total_quantity), trim_scale(total_cost), record_count FROM daily',
    $$VALUES ('sms', 'message', 1::numeric, 0.0075, 1::bigint), ('voice', 'minute', 7.75, 0.11625, 2)$$,
    'daily summaries show what the records add up to');

PREPARE tenant_balance AS
SELECT
  t.company_name,
  t.credit_balance,
  pp.display_name as plan,
  pp.included_credits,
  (SELECT SUM(total_cost)
   FROM usage_records
   WHERE tenant_id = t.id
     AND DATE_TRUNC('month', created_at) = DATE_TRUNC('month', CURRENT_DATE)
  ) as current_period_usage
FROM tenants t
LEFT JOIN pricing_plans pp ON t.plan_id = pp.id
WHERE t.id = 7;

CREATE TEMPORARY TABLE balance AS EXECUTE tenant_balance;
SELECT results_eq(
    'SELECT company_name, credit_balance, plan, included_credits, trim_scale(current_period_usage) FROM balance',
    $$VALUES ('Acme', 0::numeric, 'Free Trial', 50::numeric, 0.12375)$$,
    'the balance shows the plan and the usage of the month');

-- Backfill.
SELECT lives_ok($$SELECT * FROM backfill_usage('2025-10-01', '2025-10-31')$$, 'October 2025 can be backfilled');

SELECT is_empty('SELECT * FROM verify()', 'every promise holds');
SELECT * FROM finish();
ROLLBACK;
