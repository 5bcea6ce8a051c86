"""Rating at large, each once: a deck imported, a month's usage simulated on another plan."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner

from bench.measure import Scale
from bench.stage import Stage, WrongResultError
from pyapi.cli import main as irisx_usage

PREFIXES = 40_000


def rate_many(stage: Stage, scale: Scale) -> list[tuple[str, ...]]:
    """Rows of a table: what was done, how many rows, seconds, rows per second."""
    with tempfile.TemporaryDirectory() as folder:
        deck = Path(folder, "deck.csv")
        rows = [("done once", "rows", "seconds", "rows per second")]
        for what, changed in (("deck imported", 0), ("deck with a fifth of its prices changed", 1)):
            deck.write_text(_deck(changed))
            options = ("--card", "plan:deck", "--channel", "video", "--resource", "minute")
            begin = f"2026-0{1 + changed}-01"
            command = ("rates", "import", str(deck), *options, "--effective-from", begin)
            rows.append((what, *_timed(stage, command, PREFIXES)))
    stage.fill("tracked", rows=scale.simulated, tenants=1000, status="in-progress")
    stage.owner.execute("UPDATE calls SET status = 'completed', duration_seconds = 60 + id % 240")
    stage.owner.execute("VACUUM ANALYZE billing.usage_records")
    start = time.perf_counter()
    found = stage.owner.execute(
        "SELECT sum(quantity) FROM billing.simulate_plan(NULL, 'enterprise',"
        " (now() - interval '1 day')::date, (now() + interval '1 day')::date)"
        " WHERE kind = 'usage'"
    ).fetchone()
    elapsed = time.perf_counter() - start
    measured = stage.owner.execute("SELECT sum(quantity) FROM billing.usage_records").fetchone()
    if found is None or measured is None or round(found[0], 6) != round(measured[0], 6):
        raise WrongResultError(f"simulated {found} minutes, recorded {measured}")
    simulated = scale.simulated
    rows.append(("usage simulated on another plan", *_shown(simulated, elapsed)))
    return rows


def _deck(changed: int) -> str:
    lines = (
        f"{100_000 + n},{0.01 + n * 1e-6 + (changed if n % 5 == 0 else 0):.6f}"
        for n in range(PREFIXES)
    )
    return "\n".join(["prefix,price", *lines, ""])


def _timed(stage: Stage, command: Sequence[str], count: int) -> tuple[str, ...]:
    start = time.perf_counter()
    result = CliRunner().invoke(irisx_usage, ["-d", stage.conninfo, *command])
    elapsed = time.perf_counter() - start
    if result.exit_code != 0:
        raise WrongResultError(f"{' '.join(command)}: {result.output}")
    return _shown(count, elapsed)


def _shown(count: int, elapsed: float) -> tuple[str, ...]:
    return f"{count:,}", f"{elapsed:.1f}", f"{count / elapsed:,.0f}"
