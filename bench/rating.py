"""Rating at large: a deck imported, a period's usage simulated on another plan."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from click.testing import CliRunner

from bench.measure import AGAIN, Measure, Sample, Samples, alone
from bench.stage import Stage, WrongResultError
from bench.updates import complete_all
from pyapi.cli import main as irisx_usage


def _import_decks(stage: Stage) -> Samples:
    """Prices imported each second by the command, new ones and over others."""
    found: Samples = {}
    prefixes = stage.scale.prefixes
    with tempfile.TemporaryDirectory() as folder:
        deck = Path(folder, "deck.csv")
        for channel, name in (("video", AGAIN), ("conference", "new deck")):
            deck.write_text(_deck(prefixes, changed=0))
            found[name] = _import(stage, deck, channel, "2026-01-01")
            deck.write_text(_deck(prefixes, changed=1))
            found["a fifth changed"] = _import(stage, deck, channel, "2026-02-01")
    return found


def _deck(prefixes: int, changed: int) -> str:
    lines = (
        f"{100_000 + n},{0.01 + n * 1e-6 + (changed if n % 5 == 0 else 0):.6f}"
        for n in range(prefixes)
    )
    return "\n".join(["prefix,price", *lines, ""])


def _import(stage: Stage, deck: Path, channel: str, begin: str) -> Sample:
    what = ["--card", "plan:deck", "--channel", channel, "--resource", "minute"]
    command = ["-d", stage.conninfo, "rates", "import", str(deck), *what, "--effective-from", begin]
    start = time.perf_counter()
    result = CliRunner().invoke(irisx_usage, command)
    if result.exit_code != 0:
        raise WrongResultError(f"rates import: {result.output}")
    return Sample(stage.scale.prefixes / (time.perf_counter() - start))


def _simulate(stage: Stage) -> Samples:
    """Records priced on another plan each second."""
    rows = stage.scale.bulk_rows
    complete_all(stage, "tracked", rows)
    stage.owner.execute("VACUUM ANALYZE billing.usage_records")
    found: Samples = {}
    for name in (AGAIN, "simulate_plan"):
        start = time.perf_counter()
        stage.expect(
            "SELECT round(sum(quantity), 6)"
            " = (SELECT round(sum(quantity), 6) FROM billing.usage_records)"
            " FROM billing.simulate_plan(NULL, 'enterprise', current_date - 1, current_date + 1)"
            " WHERE kind = 'usage'",
            (True,),
        )
        found[name] = Sample(rows / (time.perf_counter() - start))
    return found


MEASURES = [
    Measure(
        "import-deck",
        "irisx-usage rates import, a large deck, prices each second",
        "prices/s",
        None,
        ("new deck", "a fifth changed"),
        _import_decks,
        alone,
        is_once=True,
    ),
    Measure(
        "simulate",
        "simulate_plan, a period's records, records each second",
        "records/s",
        None,
        ("simulate_plan",),
        _simulate,
        alone,
        is_once=True,
    ),
]
