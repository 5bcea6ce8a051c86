"""All that is measured, in the order in which it is shown.

A module of measures has a list MEASURES: of what by_turns() makes of a function that measures one
variant, or of Measure itself.
"""

from bench import backfill, credit, deadlocks, invoices, rating, reads, updates, wal

MEASURES = [
    *updates.MEASURES,
    *backfill.MEASURES,
    *reads.MEASURES,
    *deadlocks.MEASURES,
    *wal.MEASURES,
    *rating.MEASURES,
    *credit.MEASURES,
    *invoices.MEASURES,
]
