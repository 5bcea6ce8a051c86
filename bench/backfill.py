"""Rows that were there before billing was, against a plain INSERT of their finished records."""

from __future__ import annotations

from functools import partial

from bench.load import time_statements
from bench.measure import Sample, at_least, by_turns
from bench.stage import VARIANTS, Stage

BACKFILL = "SELECT * FROM billing.backfill_usage(current_date - 1, current_date + 1)"
PLAIN = "INSERT INTO bench.floor_records SELECT * FROM bench.finished"


def _sample(stage: Stage, variant: str, rebuilt: bool) -> Sample:
    """Rows recorded each second. rebuilt: keys are made after the rows, in the time measured.

    All keys of the plain INSERT. The backfill asks one of its two what is recorded already: that
    one stays.
    """
    rows = stage.scale.bulk_rows
    if variant == "plain INSERT" and not stage.has("bench.finished"):
        stage.fill("tracked", rows=rows, completed=rows)
        stage.owner.execute("CREATE TABLE bench.finished AS TABLE billing.usage_records")
        stage.owner.execute("VACUUM ANALYZE bench.finished")
    name, load = ("tracked", BACKFILL) if variant == "backfill" else ("floor", PLAIN)
    stage.fill(name, rows=rows, completed=rows, billed=False)
    dropped = ["p"] if name == "tracked" else ["p", "u"]
    keys = _drop_keys(stage, VARIANTS[name].records, dropped) if rebuilt else []
    sample = time_statements(stage, [load, *keys], rows)
    stage.check(name, completed=rows)
    return sample


def _drop_keys(stage: Stage, table: str | None, types: list[str]) -> list[str]:
    """The statements that make them anew."""
    keys = stage.owner.execute(
        "SELECT quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint"
        ' WHERE conrelid = %s::regclass AND contype = ANY (%s::"char"[])',
        [table, types],
    ).fetchall()
    for name, _ in keys:
        stage.owner.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
    return [f"ALTER TABLE {table} ADD CONSTRAINT {name} {text}" for name, text in keys]


MEASURES = [
    by_turns(
        f"backfill-{keys}",
        f"backfill / plain INSERT of finished records, keys {keys}",
        "rows/s",
        at_least(aim),
        ("backfill", "plain INSERT"),
        partial(_sample, rebuilt=keys == "rebuilt"),
    )
    for keys, aim in (("kept", 0.60), ("rebuilt", 0.85))
]
