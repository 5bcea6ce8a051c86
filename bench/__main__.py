"""Starts a server of its own, measures round after round, and shows what metering costs."""

from __future__ import annotations

import random
import signal
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track

from bench import report
from bench.measure import BILLED, DECK, FREE, FULL, QUICK, Case, Scale, measure, run_clients
from bench.rating import rate_many
from bench.stage import Stage, WrongResultError
from pyapi.embedded import Server, ServerError, project

FLOOR_AIM, FREE_AIM = "0.85 of floor", "0.97"


def list_cases(scale: Scale) -> list[Case]:
    """What is measured. A quick run keeps only billing by 16 clients, bulk and CPU."""
    found = []
    many, single = (16, "16 clients"), (1, "1 client")
    for clients, by in (many,) if scale is QUICK else (single, many):
        for tenants, spread in ((1000, "1,000 tenants"), (1, "one hot tenant")):
            name = f"completing, {spread}, {by}"
            found.append(Case(name, BILLED, FLOOR_AIM, clients=clients, tenants=tenants))
        for status in () if scale is QUICK else ("in-progress", "completed"):
            name = f"nothing billable, {status} row, {by}"
            found.append(Case(name, FREE, FREE_AIM, clients=clients, status=status))
    name = f"completing, {scale.bulk_rows:,} rows in one statement"
    found.append(Case(name, BILLED, FLOOR_AIM, how="bulk"))
    found.append(Case("completing, one row", BILLED, FLOOR_AIM, how="alone"))
    for status in ("in-progress", "completed"):
        name = f"nothing billable, {status} row"
        found.append(Case(name, FREE, FREE_AIM, how="alone", status=status))
    found.append(Case("under a deck, 16 clients", DECK, report.DECK_AIM, clients=16))
    found.append(Case("under a deck, one row", DECK, report.DECK_AIM, how="alone"))
    name = f"under a deck, {scale.bulk_rows:,} rows in one statement"
    found.append(Case(name, DECK, report.DECK_AIM, how="bulk"))
    return found


def run(stage: Stage, cases: list[Case], scale: Scale) -> report.Figures:
    """Measure every variant of every case once a round, in an order that changes."""
    rows = {}
    for clients in (1, 16):  # Twice what untracked needs.
        stage.fill("untracked", rows=20_000, tenants=1000, status="in-progress")
        ends = run_clients(stage, "bench.untracked", "status = 'completed'", clients, 2)
        rows[clients] = clients * max(map(len, ends)) * scale.seconds
    turns = [
        (case, variant)
        for _ in range(scale.rounds)
        for case in random.sample(cases, len(cases))
        for variant in random.sample(case.variants, len(case.variants))
    ]
    figures: report.Figures = defaultdict(list)
    console = Console(stderr=True)
    for case, variant in track(turns, "Measuring", console=console, transient=True):
        for name, value in measure(stage, case, variant, scale, rows[case.clients]).items():
            figures[name, variant].append(value)
    return figures


@click.command()
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--quick", is_flag=True, envvar="QUICK", help="Short rounds, to see that it runs.")
@click.option("--no-write", is_flag=True, help="Leave docs/performance.md as it is.")
def main(pg: int | None, quick: bool, no_write: bool) -> None:
    """Measure what metering costs, as ratios in one run, and write docs/performance.md."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scale = QUICK if quick else FULL
    cases = list_cases(scale)
    # /tmp may lie in memory, where fsync costs nothing.
    place = "/var/tmp" if Path("/var/tmp").is_dir() else None
    home = Path(tempfile.mkdtemp(prefix="irisx-bench-", dir=place))
    server = Server(home, pg, fsync="on", shared_buffers="1GB")
    try:
        stage = Stage(server.start())
        figures = run(stage, cases, scale)
        rating = rate_many(stage, scale)
        about = [
            *report.describe(stage),
            f"{scale.rounds} rounds of {scale.seconds} s, the first {scale.warm_up} s of each left "
            "out" + (": a quick run, to see that it runs, not to quote" if quick else ""),
            f"billing.verify() after each of {stage.verified} tracked measurements: no violation",
        ]
    except (WrongResultError, ServerError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        server.destroy()
    shown = [*report.tables(cases, figures), ("Many prices and many records at once", rating)]
    report.show(Console(width=None if sys.stdout.isatty() else 132), about, shown)
    if not no_write:
        report.write(project() / "docs" / "performance.md", about, shown)


if __name__ == "__main__":
    main()
