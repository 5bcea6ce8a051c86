-- record: the partitions of this month and the next ones; maintain() makes those after them.
SELECT billing.ensure_partitions(
    ((now() AT TIME ZONE 'UTC') - interval '1 month')::date, ((now() AT TIME ZONE 'UTC') + interval '3 months')::date
);
