"""The figures of a run as tables: for the terminal, and as docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import rich.table
from rich import box
from rich.console import Console

from bench.figures import Figures, ServerFigures
from bench.measure import AGAIN, Measure

Row = tuple[str, ...]
Table = tuple[str, list[Row]]  # a title, then the header and the rows


def _spread(values: Iterable[float | None]) -> str:
    found = [value for value in values if value is not None]
    if not found:
        return "-"
    low, high = _shown(min(found)), _shown(max(found))
    return _shown(median(found)) if low == high else f"{_shown(median(found))} ({low}-{high})"


def _shown(value: float) -> str:
    return (
        f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if value < 0.1 else f"{value:.2f}"
    )


def judge(server: ServerFigures, measure: Measure) -> tuple[str, ...]:
    """Figure, aim, reached or not, A/A, the figure by CPU."""
    rounds = server.rounds.get(measure.name, [])
    aim = str(measure.aim or "-")
    if measure.name in server.failures:
        return "FAILED", aim, "no", "-", "-"
    if not rounds:
        return "-", aim, "-", "-", "-"
    figures = [measure.figure(samples) for samples in rounds]
    reached = (
        "-" if measure.aim is None else "yes" if measure.aim.is_reached(median(figures)) else "no"
    )
    noise = _spread(measure.noise(samples) for samples in rounds)
    return _spread(figures), aim, reached, noise, _spread(map(measure.cpu_figure, rounds))


def tables(figures: Figures, measures: Sequence[Measure]) -> list[Table]:
    found: list[Table] = []
    for server in figures.servers:
        measured = [m for m in measures if m.name in server.rounds or m.name in server.failures]
        rows: list[Row] = [("measure", "figure", "aim", "reached", "A/A", "by CPU")]
        rows += [(measure.what, *judge(server, measure)) for measure in measured]
        found.append((f"PostgreSQL {server.version}: figures", rows))
    for server in figures.servers:
        rows = [("measure", "unit", "variant", "median (least-greatest)", "by CPU")]
        for measure in measures:
            rounds = server.rounds.get(measure.name, [])
            for variant in (*measure.variants, AGAIN) if rounds else ():
                samples = [samples[variant] for samples in rounds if variant in samples]
                values = _spread(sample.value for sample in samples)
                cpu = _spread(sample.cpu for sample in samples)
                rows.append((measure.name, measure.unit, variant, values, cpu))
        found.append((f"PostgreSQL {server.version}: what was measured", rows))
    return found


def about(figures: Figures) -> list[str]:
    lines = [figures.machine, f"settings: {figures.settings}", figures.scale]
    for server in figures.servers:
        lines.append(
            f"PostgreSQL {server.version}: {server.seconds / 60:.0f} minutes;"
            f" billing.verify() after {server.verified} measurements: no violation"
        )
        lines += [f"FAILED, {name}: {why}" for name, why in server.failures.items()]
    return lines


def show(console: Console, figures: Figures, measures: Sequence[Measure]) -> None:
    for title, (header, *rows) in tables(figures, measures):
        table = rich.table.Table(title=f"\n{title}", box=box.SIMPLE_HEAD, title_justify="left")
        for number, name in enumerate(header):
            table.add_column(name, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print("\n".join(about(figures)), highlight=False, soft_wrap=True)


HOW_TO_READ = ""


def write(path: Path, figures: Figures, measures: Sequence[Measure]) -> None:
    parts = ["# What metering costs the application", f"Written by `make bench` on {figures.date}."]
    parts.append("\n".join(f"- {line}" for line in about(figures)))
    for title, (header, *rows) in tables(figures, measures):
        lines = [header, ("---", *["---:"] * (len(header) - 1)), *rows]
        parts += [f"## {title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n\n".join([*parts, "## How to read it", HOW_TO_READ]), encoding="utf-8")
