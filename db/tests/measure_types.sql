-- A measure may take types of the application's own, whoever looks.
BEGIN;
SELECT plan(4);
\ir fixtures/tenants.sql

CREATE TYPE public.ride_state AS ENUM ('under way', 'done');
CREATE TABLE public.rides (id bigint PRIMARY KEY, tenant_id bigint, state public.ride_state, seconds numeric);
CREATE FUNCTION public.measure_ride(p_id bigint, p_tenant_id bigint, p_state public.ride_state, p_seconds numeric)
RETURNS SETOF billing.measurement
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT p_id, 1::smallint, p_tenant_id, 'voice', 'minute', 'ride ' || p_id, p_seconds, '1', '2025-11-20 12:00:00+00'::timestamptz
    WHERE p_state = 'done';
$$;
SELECT meter_table('public.rides', 'public.measure_ride') \g /dev/null

INSERT INTO public.rides VALUES (1, 7, 'under way', 60);
UPDATE public.rides SET state = 'done';
SELECT is((SELECT sum(total_cost) FROM usage_records WHERE source_table = 'rides'), 0.015, 'its rows are billed');
SELECT is_empty('SELECT * FROM verify()', 'and it is metered as it stands');
SET LOCAL search_path = pg_catalog;
SELECT count(*) AS gaps FROM billing.list_trigger_gaps() \gset
RESET search_path;
SELECT is(:gaps, 0, 'whatever the path of who asks');
SELECT is((SELECT sum(scanned) FROM billing.reconcile('2025-11-20', '2025-11-20')), 1::numeric, 'so that the sweep does not pass it over');

SELECT * FROM finish();
ROLLBACK;
