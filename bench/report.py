"""The figures of a run as tables: for the terminal, and as docs/performance.md."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

import rich.table
from rich import box
from rich.console import Console

from bench.measure import BILLED, CPU, DECK, Case
from bench.stage import Stage

DECK_AIM = "at least 0.91"
Figures = dict[tuple[str, str], list[float]]  # of a measure and a variant, one for each round
Table = tuple[str, list[tuple[str, ...]]]  # a title, then the header and the rows

HOW_TO_READ = """\
Figures are ratios of speeds measured in the same round: 1.00 is as fast, 0.50 half as fast. Shown \
is the median over the rounds, with the least and the greatest. Nothing passes or fails here.

- **untracked**: the same UPDATE on the same table without triggers, in rows per second.
- **A/A**: a second untracked table against the first. What it differs from 1.00 by is noise, and \
so is any other difference of that size.
- **floor**: a row trigger that does one bare INSERT of the same record into a table with the \
columns and the two unique keys of `usage_records`, unpartitioned, without the rules of its domains.
- **obvious**: a row trigger that looks up the price, inserts the record and upserts the day's row.
- **tracked**: the product, with `billing.maintain()` run once a second beside it.
- **36,000 prefixes**: the same UPDATEs of tenants whose plan has a deck, 1,000 prefixes of which \
the calls meet, against tenants whose plan has one price.

Each UPDATE bills: no row is used twice. After every measurement the rows completed and the \
records written are counted, and `billing.verify()` must be empty. Variants take turns in random \
order within a round. By clients: pgbench, prepared protocol, one UPDATE a transaction. CPU: rows \
per second that the backend of a single client spends on a processor (`/proc/<pid>/schedstat`): \
neither the disk nor the client nor the neighbours blur it as they blur time.
"""


def _spread(values: Iterable[float], form: str = ".2f") -> str:
    found = list(values)
    if not found:
        return "-"
    return f"{median(found):{form}} ({min(found):{form}}-{max(found):{form}})"


def _ratio(above: Sequence[float], below: Sequence[float]) -> str:
    """Round by round; '-' where one of the two was not measured."""
    return _spread(a / b for a, b in zip(above, below, strict=bool(above and below)))


def tables(cases: Sequence[Case], figures: Figures) -> list[Table]:
    """Speed against untracked and floor, hot against uniform, microseconds of CPU."""
    names = ("untracked", "A/A", "floor", "obvious", "tracked")
    speed: list[tuple[str, ...]] = [("UPDATE, rows per second", *names, "tracked / floor", "aim")]
    micro: list[tuple[str, ...]] = [("UPDATE, microseconds for each row", *names)]
    hot: list[tuple[str, ...]] = [("UPDATE", *names, "aim")]
    for case in cases:
        for measure in (case.name, case.name + CPU):
            base, *others = ([*figures.get((measure, variant), [])] for variant in BILLED)
            if base:
                ratios = [_ratio(other, base) for other in others]
                floor = _ratio(others[-1], others[1])
                speed.append((measure, _spread(base, ",.0f"), *ratios, floor, case.aim))
            if base and measure.endswith(CPU):
                spent = [_spread((1e6 / value for value in own), ".0f") for own in (base, *others)]
                micro.append((case.name, *spent))
        for twin in cases:
            if case.hot_twin_of(twin):
                pairs = [(figures[case.name, v], figures[twin.name, v]) for v in BILLED]
                hot.append((case.name, *(_ratio(*pair) for pair in pairs), "1.00"))
    deck: list[tuple[str, ...]] = [
        ("UPDATE, rows per second", "one price", "36,000 prefixes", "aim"),
    ]
    for case in cases:
        for measure in (case.name, case.name + CPU):
            one, many = ([*figures.get((measure, variant), [])] for variant in DECK)
            if many:
                deck.append((measure, _spread(one, ",.0f"), _ratio(many, one), DECK_AIM))
    return [
        ("Speed against the same UPDATE untracked", speed),
        ("Under a deck of 36,000 prefixes", deck),
        ("One hot tenant against 1,000 tenants", hot),
        ("The backend's CPU", micro),
    ]


def show(console: Console, about: Sequence[str], shown: Sequence[Table]) -> None:
    console.print("\n".join(about), highlight=False, soft_wrap=True)
    for title, (header, *rows) in shown:
        table = rich.table.Table(title=f"\n{title}", box=box.SIMPLE_HEAD, title_justify="left")
        for number, name in enumerate(header):
            table.add_column(name, justify="right" if number else "left")
        for row in rows:
            table.add_row(*(re.sub(r" \((.*)\)$", r"\n[dim]\1[/dim]", cell) for cell in row))
        console.print(table)


def write(path: Path, about: Sequence[str], shown: Sequence[Table]) -> None:
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    parts = ["# What metering costs the application", f"Written by `make bench` on {day}."]
    parts.append("\n".join(f"- {line}" for line in about))
    for title, (header, *rows) in shown:
        lines = [header, ("---", *["---:"] * (len(header) - 1)), *rows]
        parts += [f"## {title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n\n".join([*parts, "## How to read it", HOW_TO_READ]), encoding="utf-8")


def describe(stage: Stage) -> list[str]:
    """The machine and the server, in lines of text."""
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        processor = found[1] if found else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    settings = stage.owner.execute(
        "SELECT name || ' = ' || current_setting(name) FROM pg_settings WHERE name = ANY(%s)",
        [["fsync", "synchronous_commit", "shared_buffers", "max_wal_size"]],
    ).fetchall()
    version = stage.owner.info.parameter_status("server_version")
    return [
        f"{processor}, {os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.system()}",
        f"PostgreSQL {version}: {', '.join(setting for (setting,) in settings)}",
        f"Client: {'pgbench' if stage.pgbench.exists() else 'psycopg threads (no pgbench here)'}",
    ]
