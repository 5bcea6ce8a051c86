"""UPDATEs of many rows at once that meet in their tenants, though not in their rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import psycopg

from bench.measure import Sample, alone, at_most, by_turns
from bench.stage import COMPLETE, VARIANTS, Stage

SESSIONS, STATEMENTS, ROWS, TENANTS = 4, 8, 1000, 20


def _sample(stage: Stage, variant: str) -> Sample:
    """Deadlocks for each hundred statements. Each is tried again, as an application would."""
    stage.fill(variant, rows=SESSIONS * STATEMENTS * ROWS, tenants=TENANTS)
    # Each session meets the tenants in turn, but begins with another.
    update = (
        f"UPDATE {VARIANTS[variant].table} SET {COMPLETE}"
        " WHERE id >= %s::bigint AND id < %s::bigint"
    ).encode()

    def work(session: int) -> int:
        deadlocks, shift = 0, session * TENANTS // SESSIONS
        begin = session * STATEMENTS * ROWS
        inner = (begin + n * ROWS + shift for n in range(1, STATEMENTS))
        bounds = [begin, *inner, begin + STATEMENTS * ROWS]
        with stage.connect() as connection:
            for first, end in pairwise(bounds):
                while True:
                    try:
                        connection.execute(update, [first, end])
                        break
                    except psycopg.errors.DeadlockDetected:
                        deadlocks += 1
        return deadlocks

    with stage.setting("deadlock_timeout", "100ms"), ThreadPoolExecutor(SESSIONS) as pool:
        deadlocks = sum(pool.map(work, range(SESSIONS)))
    stage.check(variant, completed=SESSIONS * STATEMENTS * ROWS)
    return Sample(100 * deadlocks / (SESSIONS * STATEMENTS))


MEASURES = [
    by_turns(
        "deadlocks",
        f"deadlocks of {SESSIONS} clients in UPDATEs of {ROWS:,} rows of the same tenants",
        "for each 100 statements",
        at_most(0),
        ("tracked", "obvious"),
        _sample,
        alone,
    ),
]
