-- record: the partitions of this month and the next ones, made by the first round of housekeeping.
SELECT task, done FROM billing.maintain();
