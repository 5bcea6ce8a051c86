"""The write-ahead log of single-row UPDATEs, on a server that does nothing else."""

from __future__ import annotations

from bench.measure import Sample, at_most, by_turns, difference
from bench.stage import COMPLETE, VARIANTS, Stage

ROWS = 2000


def _sample(stage: Stage, variant: str) -> Sample:
    """kB for each row. '... page images': with those of the pages touched first since a checkpoint;
    '... merged': with the merge of what was recorded, once."""
    name, _, extra = variant.partition(", ")
    images = "on" if extra == "page images" else "off"
    with stage.setting("full_page_writes", images):
        stage.fill(name, rows=ROWS)
        with stage.connect() as connection:
            connection.execute("SET synchronous_commit = off")
            begin = _position(stage)
            update = f"UPDATE {VARIANTS[name].table} SET {COMPLETE} WHERE id = %s".encode()
            for id in range(ROWS):
                connection.execute(update, [id])
            if extra == "merged":
                connection.execute("SELECT billing.merge_summaries()")
        written = _position(stage) - begin
    stage.check(name, completed=ROWS)
    return Sample(written / 1000 / ROWS)


def _position(stage: Stage) -> int:
    row = stage.owner.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
    assert row is not None
    return int(row[0])


MEASURES = [
    by_turns(
        "wal",
        "WAL added to a completed call by tracking, kB, without page images",
        "kB a row",
        at_most(0.55),
        (
            "tracked",
            "untracked",
            "floor",
            "obvious",
            "tracked, merged",
            "untracked, page images",
            "tracked, page images",
        ),
        _sample,
        difference,
        is_once=True,
    ),
]
