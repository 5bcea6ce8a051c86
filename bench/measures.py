"""All that is measured, in the order in which it is shown."""

from bench import backfill, deadlocks, rating, reads, updates, wal

MEASURES = [
    *updates.MEASURES,
    *backfill.MEASURES,
    *reads.MEASURES,
    *deadlocks.MEASURES,
    *wal.MEASURES,
    *rating.MEASURES,
]
